; mode: v86 (virtual-8086 mode)
; cpu: max
; expect: in each row of the tables
%define MODE v86
%include "case.inc"
%include "tables/integer.inc"
%include "tables/adx.inc"
%include "tables/bcd.inc"
end_of_cases
