; Interrupt and trap gates: type, privilege, presence, code segment, IST, EXT in error codes, double faults.
%include "ring0.inc"

; Interrupt gates of the IDT, reached with INT n: IDT kind, mode, vector 60h, wanted vector, error,
; {preparation}.
%macro GATEOF 5
        %defstr %%mode %2
        CASE {"gate.int.", %1, ".", %%mode}, "SDM2 INT n; SDM3 6.12", %2
        %5
        BODY
        FAULTS %3, %4
%if %3 != NONE && %3 != 0x60
        AT
%endif
        int 0x60
        END
%endmacro
int60:
        int kDone
        bits 64
int60_64:
        int kDone
        [section .utext]
int60_user:
        int kDone
        __SECT__
        bits 32
%macro int_gates 2              ; mode, CPL
        GATEOF "good", %1, NONE, 0, {IDTGATE 0x60, kCode32, int60, 0xee}
        GATEOF "trap_gate", %1, NONE, 0, {IDTGATE 0x60, kCode32, int60, 0xef}
        GATEOF "not_present", %1, NP_, 0x302, {IDTGATE 0x60, kCode32, int60, 0x6e}
        GATEOF "null_code", %1, GP_, 0, {IDTGATE 0x60, 0, int60, 0xee}
        GATEOF "null_code_rpl3", %1, GP_, 0, {IDTGATE 0x60, 3, int60, 0xee}
        GATEOF "code_beyond_gdt", %1, GP_, 0x1000, {IDTGATE 0x60, 0x1000, int60, 0xee}
        GATEOF "code_in_ldt_beyond", %1, GP_, 0x84, {IDTGATE 0x60, 0x84, int60, 0xee}
        GATEOF "data", %1, GP_, kData32, {IDTGATE 0x60, kData32, int60, 0xee}
        GATEOF "conforming", %1, NONE, 0, {IDTGATE 0x60, kConforming, int60, 0xee}
        GATEOF "code_rpl_ignored", %1, NONE, 0, {IDTGATE 0x60, kCode32 | 3, int60, 0xee}
        GATEOF "code_not_present", %1, NP_, kT0, {int_gate_desc 0x1b, 0xfffff, 0xc, int60}
        GATEOF "code_dpl_above_cpl", %1, (GP_ * (%2 == 0) + NONE * (%2 == 3)), (kT0 * (%2 == 0)), {int_gate_desc 0xfb, 0xfffff, 0xc, int60}
        GATEOF "offset_beyond_limit", %1, GP_, 0, {int_gate_desc 0x9b, 0xfff, 4, 0x1000}
        GATEOF "beyond_idt", %1, GP_, 0x302, {mov word [v_idt_limit], 0x301}
        GATEOF "last_byte_beyond_idt", %1, GP_, 0x302, {mov word [v_idt_limit], 0x306}
%assign type 0
%rep 16
%if type != 5 && type != 6 && type != 7 && type != 14 && type != 15
        %defstr %%type type
        GATEOF {"type_", %%type}, %1, GP_, 0x302, {IDTGATE 0x60, kCode32, int60, 0xe0 | type}
%endif
%assign type type + 1
%endrep
        GATEOF "code_descriptor", %1, GP_, 0x302, {IDTGATE 0x60, kCode32, int60, 0xfb}
%endmacro
%macro int_gate_desc 4
        IDTGATE 0x60, kT0, %4, 0xee
        DESC kT0, 0, %2, %1, %3
%endmacro
int_gates p32, 0
int_gates q32, 3
GATEOF "dpl0", p32, NONE, 0, {IDTGATE 0x60, kCode32, int60, 0x8e}
GATEOF "dpl0", q32, GP_, 0x302, {IDTGATE 0x60, kCode32, int60, 0x8e}
GATEOF "dpl0_not_present", q32, GP_, 0x302, {IDTGATE 0x60, kCode32, int60, 0x0e}
GATEOF "dpl2", q32, GP_, 0x302, {IDTGATE 0x60, kCode32, int60, 0xce}
GATEOF "code_ring1", v86, GP_, kT0, {int_gate_desc 0xbb, 0xfffff, 0xc, int60}
GATEOF "conforming", v86, GP_, kConforming, {IDTGATE 0x60, kConforming, int60, 0xee}
%macro IDT64 4                  ; selector, offset, access, offset high
        GATE64 kIdt + 0x600, %1, %2, %3, %4
%endmacro
%macro int_gates64 2
        GATEOF "good", %1, NONE, 0, {IDT64 kCode64, int60_64, 0xee, 0}
        GATEOF "trap_gate", %1, NONE, 0, {IDT64 kCode64, int60_64, 0xef, 0}
        GATEOF "not_present", %1, NP_, 0x302, {IDT64 kCode64, int60_64, 0x6e, 0}
        GATEOF "null_code", %1, GP_, 0, {IDT64 0, int60_64, 0xee, 0}
        GATEOF "code_beyond_gdt", %1, GP_, 0x1000, {IDT64 0x1000, int60_64, 0xee, 0}
        GATEOF "data", %1, GP_, kData32, {IDT64 kData32, int60_64, 0xee, 0}
        GATEOF "compatibility_code", %1, GP_, kCode32, {IDT64 kCode32, int60, 0xee, 0}
        GATEOF "code_l_and_d", %1, GP_, kT0, {int64_desc 0x9b, 0xe}
        GATEOF "code_not_present", %1, NP_, kT0, {int64_desc 0x1b, 0xa}
        GATEOF "code_dpl_above_cpl", %1, (GP_ * (%2 == 0) + NONE * (%2 == 3)), (kT0 * (%2 == 0)), {int64_user}
        GATEOF "offset_not_canonical", %1, GP_, 0, {IDT64 kCode64, int60_64, 0xee, 0x8000}
        GATEOF "beyond_idt", %1, GP_, 0x302, {mov word [v_idt_limit], 0x60e}
        GATEOF "ist1", %1, NONE, 0, {int64_ist}
%assign type 0
%rep 16
%if type != 14 && type != 15
        %defstr %%type type
        GATEOF {"type_", %%type}, %1, GP_, 0x302, {IDT64 kCode64, int60_64, 0xe0 | type, 0}
%endif
%assign type type + 1
%endrep
%endmacro
%macro int64_desc 2
        IDT64 kT0, int60_64, 0xee, 0
        DESC kT0, 0, 0xfffff, %1, %2
%endmacro
%macro int64_user 0
        IDT64 kT0, int60_user, 0xee, 0
        DESC kT0, 0, 0xfffff, 0xfb, 0xa
%endmacro
%macro int64_ist 0
        IDT64 kCode64, int60_64, 0xee, 0
        mov byte [kIdt + 0x604], 1
        mov byte [kIdt + kDone * 16 + 4], 0
%endmacro
int_gates64 k64, 0
int_gates64 u64, 3
int_gates64 c32, 3
GATEOF "dpl0", k64, NONE, 0, {IDT64 kCode64, int60_64, 0x8e, 0}
GATEOF "dpl0", u64, GP_, 0x302, {IDT64 kCode64, int60_64, 0x8e, 0}
; A vector that an exception uses is told by EXT: bit 0 of the error code.
%macro EXTERNAL 5               ; kind, mode, wanted vector, error, {preparation}
        %defstr %%mode %2
        CASE {"gate.exception.", %1, ".", %%mode}, "SDM3 6.13", %2
        %5
        BODY
        FAULTS %3, %4
        AT
        ud2
        END
%endmacro
EXTERNAL "not_present", p32, NP_, 0x33, {IDTGATE 6, kCode32, int60, 0x6e}
EXTERNAL "not_present", q32, NP_, 0x33, {IDTGATE 6, kCode32, int60, 0x6e}
EXTERNAL "dpl_not_checked", q32, UD_, 0, {}
EXTERNAL "type", p32, GP_, 0x33, {IDTGATE 6, kCode32, int60, 0xe0}
EXTERNAL "null_code", p32, GP_, 1, {IDTGATE 6, 0, int60, 0xee}
EXTERNAL "data", q32, GP_, kData32 | 1, {IDTGATE 6, kData32, int60, 0xee}
EXTERNAL "not_present", k64, NP_, 0x33, {GATE64 kIdt + 0x60, kCode64, int60_64, 0x6e, 0}
EXTERNAL "not_present", u64, NP_, 0x33, {GATE64 kIdt + 0x60, kCode64, int60_64, 0x6e, 0}
EXTERNAL "compatibility_code", u64, GP_, kCode32 | 1, {GATE64 kIdt + 0x60, kCode32, int60, 0x8e, 0}
EXTERNAL "null_code", c32, GP_, 1, {GATE64 kIdt + 0x60, 0, int60, 0x8e, 0}
; Double faults (SDM3 table 6-5): the first exception's gate is broken.
%macro DOUBLE 6+                ; kind, mode, wanted vector, error, {preparation}, instruction
        %defstr %%mode %2
        CASE {"gate.double.", %1, ".", %%mode}, "SDM3 6.15 #DF, table 6-5", %2
        %5
        BODY
        FAULTS %3, %4
        %6
        END
%endmacro
%macro broken 1-*
%rep %0
        mov byte [kIdt + (%1) * 8 + 5], 0x0e
%rotate 1
%endrep
%endmacro
%macro broken64 1-*
%rep %0
        mov byte [kIdt + (%1) * 16 + 5], 0x0e
%rotate 1
%endrep
%endmacro
%macro de_ist_pf 1              ; IST2 in a page that is absent, for this vector
        mov byte [kIdt + (%1) * 16 + 4], 2
        mov dword [kTss64 + 0x2c], W + 0x5000
        mov dword [kTss64 + 0x30], 0
%endmacro
%macro ist_not_canonical 1
        mov byte [kIdt + (%1) * 16 + 4], 2
        mov dword [kTss64 + 0x2c], 0
        mov dword [kTss64 + 0x30], 0x8000
%endmacro
%macro load_absent_stack 0
        DESC kT0, 0, 0xfffff, 0x73, 0xc
%endmacro
%macro into_stack 0
        mov ax, kT0 | 3
        mov ss, ax
%endmacro
%macro no_device 0
        broken NM_
        or dword [v_cr0], 8
%endmacro
%macro no_stack_handler 0
        broken SS_
        load_absent_stack
%endmacro
DOUBLE "de_np", p32, DF_, 0, {broken DE_}, div cl
DOUBLE "gp_np", q32, DF_, 0, {broken GP_}, hlt
DOUBLE "np_np", p32, DF_, 0, {broken NP_, 0x60}, int 0x60
DOUBLE "ss_np", q32, DF_, 0, {no_stack_handler}, into_stack
DOUBLE "ud_np", p32, NP_, 0x33, {broken UD_}, ud2
DOUBLE "nm_np", p32, NP_, 0x3b, {no_device}, fninit
DOUBLE "pf_np", g32, DF_, 0, {broken PF_}, {mov al, [W + 0x5000]}
DOUBLE "pf_np", h32, DF_, 0, {broken PF_}, {mov al, [W + 0x5000]}
DOUBLE "de_np", k64, DF_, 0, {broken64 DE_}, div cl
DOUBLE "gp_np", u64, DF_, 0, {broken64 GP_}, hlt
DOUBLE "ud_np", u64, NP_, 0x33, {broken64 UD_}, ud2
DOUBLE "pf_np", u64, DF_, 0, {broken64 PF_}, {mov al, [abs W + 0x5000]}
; A page fault while a contributory exception is delivered is a page fault, and the other way round #DF.
DOUBLE "de_stack_pf", k64, PF_, 2, {de_ist_pf DE_}, div cl
DOUBLE "gp_stack_pf", u64, PF_, 2, {de_ist_pf GP_}, hlt
DOUBLE "pf_stack_pf", u64, DF_, 0, {de_ist_pf PF_}, {mov al, [abs W + 0x6000]}
DOUBLE "ud_stack_pf", k64, PF_, 2, {de_ist_pf UD_}, ud2
DOUBLE "ud_stack_not_canonical", k64, SS_, 1, {ist_not_canonical UD_}, ud2
DOUBLE "gp_stack_not_canonical", u64, DF_, 0, {ist_not_canonical GP_}, hlt
image_done
