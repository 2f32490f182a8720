; mode: u64
; cpu: max
; expect: in each row of the tables
%define MODE u64
%include "case.inc"
%include "tables/strings.inc"
%include "tables/strings64.inc"
end_of_cases
