; mode: p32
; cpu: max
; expect: in each row of the tables
%define MODE p32
%include "case.inc"
%include "tables/strings.inc"
end_of_cases
