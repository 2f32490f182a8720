; mode: r16 (real mode)
; cpu: max
; expect: in each row of the tables
%define MODE r16
%include "case.inc"
%include "tables/integer.inc"
%include "tables/adx.inc"
%include "tables/bcd.inc"
end_of_cases
