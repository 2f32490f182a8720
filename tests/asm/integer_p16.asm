; mode: p16 (16-bit protected mode)
; cpu: max
; expect: in each row of the tables
%define MODE p16
%include "case.inc"
%include "tables/integer.inc"
%include "tables/adx.inc"
%include "tables/bcd.inc"
%include "tables/bmi.inc"
end_of_cases
