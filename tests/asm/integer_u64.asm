; mode: u64 (64-bit mode, CPL 3)
; cpu: max
; expect: in each row of the tables
%define MODE u64
%include "case.inc"
%include "tables/integer.inc"
%include "tables/adx.inc"
%include "tables/integer64.inc"
%include "tables/adx64.inc"
%include "tables/bmi.inc"
%include "tables/bmi64.inc"
end_of_cases
