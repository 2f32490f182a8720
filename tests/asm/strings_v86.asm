; mode: v86
; cpu: max
; expect: in each row of the tables
%define MODE v86
%include "case.inc"
%include "tables/strings.inc"
end_of_cases
