; mode: p32 (32-bit protected mode, CPL 0)
; cpu: max
; expect: in each row of the tables
%define MODE p32
%include "case.inc"
%include "tables/integer.inc"
%include "tables/adx.inc"
%include "tables/bcd.inc"
%include "tables/bmi.inc"
end_of_cases
