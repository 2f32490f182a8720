; mode: c32 (compatibility mode, 32-bit code, CPL 3)
; cpu: max
; expect: tables/illegal.inc says where the manual has it
%define MODE c32
%include "case.inc"
%include "tables/illegal.inc"
end_of_cases
