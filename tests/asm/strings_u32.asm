; mode: u32
; cpu: max
; expect: in each row of the tables
%define MODE u32
%include "case.inc"
%include "tables/strings.inc"
end_of_cases
