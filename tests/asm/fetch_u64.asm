; mode: u64 (64-bit mode, CPL 3)
; cpu: max
; expect: tables/illegal.inc says where the manual has it
%define MODE u64
%include "case.inc"
%include "tables/illegal.inc"
end_of_cases
