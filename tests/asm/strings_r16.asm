; mode: r16
; cpu: max
; expect: in each row of the tables
%define MODE r16
%include "case.inc"
%include "tables/strings.inc"
end_of_cases
