; Every exception vector in every mode: vector, error code, saved CS:IP, RF, stack of the interrupted
; program, registers of the handler.
%include "ring0.inc"

%define cs_of_rm kBase >> 4
%define cs_of_v86 kBase >> 4
%define cs_of_p16 kCode16
%define cs_of_q16 kUCode16
%define cs_of_p32 kCode32
%define cs_of_q32 kUCode32
%define cs_of_g32 kCode32
%define cs_of_h32 kUCode32
%define cs_of_a32 kCode32
%define cs_of_b32 kUCode32
%define cs_of_c16 kUCode16
%define cs_of_c32 kUCode32
%define cs_of_d32 kCode32
%define cs_of_k64 kCode64
%define cs_of_u64 kUCode64
; saved SS, SP; SS and SP of the handler after the frame without an error code
%define stack_of_rm 0x200, kLowStack - 0x2000, 0x200, kLowStack - 0x2000 - 6, -1
%define stack_of_v86 0x200, kLowStack - 0x2000, kData32, kTssStack - 36, -1
%define stack_of_p16 kData16, kLowStack, kData16, kLowStack - 12, -1
%define stack_of_q16 kUData16, kLowStack, kData32, kTssStack - 20, 0xffff
%define stack_of_p32 kData32, kStack0, kData32, kStack0 - 12, -1
%define stack_of_q32 kUData, kStack3, kData32, kTssStack - 20, -1
%define stack_of_g32 stack_of_p32
%define stack_of_h32 stack_of_q32
%define stack_of_a32 stack_of_p32
%define stack_of_b32 stack_of_q32
%define stack_of_c16 kUData16, kLowStack, 0, kTssStack - 40, 0xffff
%define stack_of_c32 kUData, kStack3, 0, kTssStack - 40, -1
%define stack_of_d32 kData32, kStack0, kData32, kStack0 - 40, -1
%define stack_of_k64 stack_of_d32
%define stack_of_u64 kUData, kStack3, 0, kTssStack - 40, -1
%define width_of_rm 0
%define width_of_v86 4
%define width_of_p16 4
%define width_of_q16 4
%define width_of_p32 4
%define width_of_q32 4
%define width_of_g32 4
%define width_of_h32 4
%define width_of_a32 4
%define width_of_b32 4
%define width_of_c16 8
%define width_of_c32 8
%define width_of_d32 8
%define width_of_k64 8
%define width_of_u64 8

; saved ss, sp, handler ss, sp, saved bits of ESP that are known, bytes of the error code
; (IRET to a 16-bit stack leaves bits 31:16 of ESP alone: SDM2 IRET)
%macro want_stack 6
        WANT r_ss, %1
        WANT r_sp, %2, %5
        WANT r_hss, %3
        WANT r_hsp, (%4) - (%6)
%endmacro
%macro nothing 0
%endmacro
; EXC mode, name, section, vector, error or none, fault|trap, {preparation}, {before}, instruction
%macro EXC 9+
        %defstr %%mode %1
        CASE {"exception.", %2, ".", %%mode}, %3, %1
        %7
        BODY
        WANT r_vector, %4
%ifidn %5,none
        WANT r_error, 0
        want_stack stack_of_%1, 0
%else
%ifidn %1,rm
        want_stack stack_of_%1, 0
%else
        WANT r_error, %5
        want_stack stack_of_%1, width_of_%1
%endif
%endif
        WANT r_cs, cs_of_%1
        WANT r_count, 1
        WANT r_hflags, 0, 0x300         ; TF, IF
%ifidn %6,fault
        %8
        AT
        %9
%else
        %8
        %9
        AT
%endif
        END
%endmacro
; RF in the saved flags: RESUME mode, name, vector, value, instruction
%macro RESUME 5+
        %defstr %%mode %1
        CASE {"flags.rf.", %2, ".", %%mode}, "SDM3 17.3.1.1", %1
        BODY
        FAULTS %3
        WANT r_flags, (%4) << 16, 1 << 16
        %5
        END
%endmacro
%macro resume_flag 1-*
%rep %0
        RESUME %1, "ud2", UD_, 1, ud2
        RESUME %1, "de", DE_, 1, div cl
        RESUME %1, "int3", BP_, 0, int3
        RESUME %1, "int1", DB_, 0, {db 0xf1}
        RESUME %1, "int", kDone, 0, int kDone
%rotate 1
%endrep
%endmacro

%macro set_em 0
        or dword [v_cr0], 4
%endmacro
%macro set_ts 0
        or dword [v_cr0], 8
%endmacro
%macro set_ts_mp 0
        or dword [v_cr0], 10
%endmacro
%macro set_am 0
        or dword [v_cr0], 0x40000
        or dword [v_flags], 0x40000
%endmacro
%macro no_xmmexcpt 0
        and dword [v_cr4], ~0x400
%endmacro
%macro no_osfxsr 0
        and dword [v_cr4], ~0x200
%endmacro
%macro only_long 0
%endmacro
%macro idiv_overflow 0
        mov ax, 0x8000
        mov cl, -1
%endmacro
%macro aam_zero 0
%endmacro
%macro overflow_flag 0
        mov al, 0x7f
        add al, 1
%endmacro
%macro bounds 0
        mov dword [kResults], 0x00050001
        mov ax, 6
%endmacro
%macro fpu_error 0
        fninit
        mov word [kResults], 0x37b      ; zero divide unmasked
        fldcw [kResults]
        fldz
        fld1
        fdiv st0, st1
%endmacro
%macro sse_unmasked 0
        mov dword [kResults], 0x1d80    ; zero divide unmasked
        ldmxcsr [kResults]
        xorps xmm1, xmm1
        mov dword [kResults], 0x3f800000
        movss xmm0, [kResults]
%endmacro
%macro null_es 0
        xor ax, ax
        mov es, ax
%endmacro

%macro fourteen_prefixes 0
        times 14 db 0x2e
        nop
%endmacro
%macro fifteen_prefixes 0
        times 15 db 0x2e
        nop
%endmacro
; What all modes have.
%macro all_modes_have 1
        EXC %1, "de.div", "SDM3 6.15 #DE", DE_, none, fault, nothing, nothing, div cl
        EXC %1, "de.idiv_overflow", "SDM3 6.15 #DE", DE_, none, fault, nothing, idiv_overflow, idiv cl
        EXC %1, "db.int1", "SDM3 6.15 #DB; SDM2 INT1", DB_, none, trap, nothing, nothing, db 0xf1
        EXC %1, "bp.int3", "SDM3 6.15 #BP", BP_, none, trap, nothing, nothing, int3
        EXC %1, "ud.ud2", "SDM3 6.15 #UD", UD_, none, fault, nothing, nothing, ud2
        EXC %1, "ud.lock_register", "SDM3 6.15 #UD; SDM2 LOCK", UD_, none, fault, nothing, nothing, {db 0xf0, 0x01, 0xc0}
        EXC %1, "ud.lock_mov", "SDM3 6.15 #UD; SDM2 LOCK", UD_, none, fault, nothing, nothing, {db 0xf0, 0x90}
        EXC %1, "ud.lea_register", "SDM2 LEA", UD_, none, fault, nothing, nothing, {db 0x8d, 0xc0}
        EXC %1, "ud.group4", "SDM2 A.4 group 4", UD_, none, fault, nothing, nothing, {db 0xfe, 0xd0}
        EXC %1, "nm.em", "SDM3 2.5 EM", NM_, none, fault, set_em, nothing, fninit
        EXC %1, "nm.ts", "SDM3 2.5 TS", NM_, none, fault, set_ts, nothing, fninit
        EXC %1, "nm.wait", "SDM3 2.5 MP", NM_, none, fault, set_ts_mp, nothing, fwait
        EXC %1, "nm.sse_ts", "SDM3 13.1.3", NM_, none, fault, set_ts, nothing, xorps xmm0, xmm0
        EXC %1, "ud.sse_em", "SDM3 13.1.3", UD_, none, fault, set_em, nothing, xorps xmm0, xmm0
        EXC %1, "ud.sse_osfxsr", "SDM3 2.5 OSFXSR", UD_, none, fault, no_osfxsr, nothing, xorps xmm0, xmm0
        EXC %1, "mf.wait", "SDM3 6.15 #MF", MF_, none, fault, nothing, fpu_error, fwait
        EXC %1, "mf.next", "SDM3 6.15 #MF", MF_, none, fault, nothing, fpu_error, fld1
        EXC %1, "xm.divss", "SDM3 6.15 #XM", XM_, none, fault, nothing, sse_unmasked, divss xmm0, xmm1
        EXC %1, "ud.xm_without_osxmmexcpt", "SDM3 2.5 OSXMMEXCPT", UD_, none, fault, no_xmmexcpt, sse_unmasked, divss xmm0, xmm1
        EXC %1, "gp.too_long", "SDM2 2.3.11; SDM3 6.15 #GP", GP_, 0, fault, nothing, nothing, fifteen_prefixes
        EXC %1, "ud.rsm", "SDM2 RSM", UD_, none, fault, nothing, nothing, {db 0x0f, 0xaa}
        EXC %1, "ud.ud1", "SDM2 UD", UD_, none, fault, nothing, nothing, {db 0x0f, 0xb9, 0xc0}
        EXC %1, "ud.ud0", "SDM2 UD", UD_, none, fault, nothing, nothing, {db 0x0f, 0xff, 0xc0}
        EXC %1, "ud.sgdt_register", "SDM2 SGDT", UD_, none, fault, nothing, nothing, {db 0x0f, 0x01, 0xc6}
        EXC %1, "ud.lidt_register", "SDM2 LIDT", UD_, none, fault, nothing, nothing, {db 0x0f, 0x01, 0xde}
        EXC %1, "ud.cmpxchg8b_register", "SDM2 CMPXCHG8B", UD_, none, fault, nothing, nothing, {db 0x0f, 0xc7, 0xc8}
        EXC %1, "ud.lock_cmp", "SDM2 LOCK", UD_, none, fault, nothing, nothing, {db 0xf0, 0x39, 0x07}
        EXC %1, "ud.lock_bt", "SDM2 LOCK", UD_, none, fault, nothing, nothing, {db 0xf0, 0x0f, 0xa3, 0x07}
        EXC %1, "ud.pop_group1a", "SDM2 A.4 group 1A", UD_, none, fault, nothing, nothing, {db 0x8f, 0xc8}
        EXC %1, "ud.mov_group11", "SDM2 A.4 group 11", UD_, none, fault, nothing, nothing, {db 0xc6, 0xc8, 0}
        %defstr %%mode %1
        GOODP {"exception.none.fourteen_prefixes.", %%mode}, "SDM2 2.3.11", %1, nothing, fourteen_prefixes
        GOODP {"exception.none.wait_ts_without_mp.", %%mode}, "SDM3 2.5 MP", %1, set_ts, fwait
%endmacro

all_modes_have rm
all_modes_have v86
all_modes_have p16
all_modes_have q16
all_modes_have p32
all_modes_have q32
all_modes_have c16
all_modes_have c32
all_modes_have d32
all_modes_have k64
all_modes_have u64

resume_flag v86, p16, q16, p32, q32, h32, b32, c16, c32, k64, u64
RESUME u64, "gp", GP_, 1, hlt
RESUME u64, "pf", PF_, 1, {mov al, [abs W + 0x5000]}
RESUME q32, "gp", GP_, 1, hlt
RESUME h32, "pf", PF_, 1, {mov al, [W + 0x5000]}

; INTO, BOUND and decimal adjustment do not exist in 64-bit mode.
%macro legacy 1
        EXC %1, "of.into", "SDM3 6.15 #OF", OF_, none, trap, nothing, overflow_flag, into
        EXC %1, "br.bound", "SDM3 6.15 #BR", BR_, none, fault, nothing, bounds, {bound ax, [kResults]}
        EXC %1, "de.aam", "SDM2 AAM", DE_, none, fault, nothing, nothing, aam 0
        EXC %1, "ud.bound_register", "SDM2 BOUND", UD_, none, fault, nothing, nothing, {db 0x62, 0xc0}
        EXC %1, "ud.les_register", "SDM2 LES", UD_, none, fault, nothing, nothing, {db 0xc4, 0xc0}
%endmacro
legacy rm
legacy v86
legacy p16
legacy q16
legacy p32
legacy q32
legacy c16
legacy c32
legacy d32
%macro removed 2
        EXC k64, %1, "SDM2 3.1.1.3", UD_, none, fault, nothing, nothing, %2
        EXC u64, %1, "SDM2 3.1.1.3", UD_, none, fault, nothing, nothing, %2
%endmacro
removed "ud.into", {db 0xce}
removed "ud.daa", {db 0x27}
removed "ud.das", {db 0x2f}
removed "ud.aaa", {db 0x37}
removed "ud.aas", {db 0x3f}
removed "ud.aam", {db 0xd4, 10}
removed "ud.aad", {db 0xd5, 10}
removed "ud.pusha", {db 0x60}
removed "ud.popa", {db 0x61}
removed "ud.push_es", {db 0x06}
removed "ud.pop_es", {db 0x07}
removed "ud.push_cs", {db 0x0e}
removed "ud.push_ss", {db 0x16}
removed "ud.pop_ss", {db 0x17}
removed "ud.push_ds", {db 0x1e}
removed "ud.pop_ds", {db 0x1f}
removed "ud.salc", {db 0xd6}
removed "ud.group1_alias", {db 0x82, 0xc0, 0}
removed "ud.call_far_direct", {db 0x9a, 0, 0, 0, 0, 0, 0}
removed "ud.jmp_far_direct", {db 0xea, 0, 0, 0, 0, 0, 0}

; Error codes: #GP of privilege and segments, #NP, #SS.
%macro user_only_of 2
        EXC %1, "gp.hlt", "SDM3 5.9", GP_, 0, fault, nothing, nothing, hlt
        EXC %1, "gp.clts", "SDM3 5.9", GP_, 0, fault, nothing, nothing, clts
        EXC %1, "gp.mov_to_cr0", "SDM3 5.9", GP_, 0, fault, nothing, nothing, {db 0x0f, 0x22, 0xc0}
        EXC %1, "gp.mov_from_cr3", "SDM3 5.9", GP_, 0, fault, nothing, nothing, {db 0x0f, 0x20, 0xd8}
        EXC %1, "gp.mov_from_dr7", "SDM3 5.9", GP_, 0, fault, nothing, nothing, {db 0x0f, 0x21, 0xf8}
        EXC %1, "gp.lgdt", "SDM3 5.9", GP_, 0, fault, nothing, nothing, lgdt [kResults]
        EXC %1, "gp.lidt", "SDM3 5.9", GP_, 0, fault, nothing, nothing, lidt [kResults]
        EXC %1, "gp.lmsw", "SDM3 5.9", GP_, 0, fault, nothing, nothing, lmsw ax
        EXC %1, "gp.invd", "SDM3 5.9", GP_, 0, fault, nothing, nothing, invd
        EXC %1, "gp.wbinvd", "SDM3 5.9", GP_, 0, fault, nothing, nothing, wbinvd
        EXC %1, "gp.invlpg", "SDM3 5.9", GP_, 0, fault, nothing, nothing, invlpg [kResults]
        EXC %1, "gp.rdmsr", "SDM3 5.9", GP_, 0, fault, nothing, nothing, rdmsr
        EXC %1, "gp.wrmsr", "SDM3 5.9", GP_, 0, fault, nothing, nothing, wrmsr
        EXC %1, "gp.rdpmc", "SDM3 5.9, 2.5 PCE", GP_, 0, fault, nothing, nothing, rdpmc
        EXC %1, "gp.rdtsc_tsd", "SDM3 2.5 TSD", GP_, 0, fault, {or dword [v_cr4], 4}, nothing, rdtsc
        EXC %1, "ac.word", "SDM3 6.15 #AC", AC_, 0, fault, set_am, nothing, {mov ax, [kResults + 1]}
        EXC %1, "ac.dword", "SDM3 6.15 #AC", AC_, 0, fault, set_am, nothing, {mov [kResults + 2], eax}
        GOODP {"exception.none.ac_aligned.", %2}, "SDM3 6.15 #AC", %1, set_am, {mov eax, [kResults + 4]}
        GOODP {"exception.none.ac_without_am.", %2}, "SDM3 6.15 #AC", %1, {or dword [v_flags], 0x40000}, {mov eax, [kResults + 1]}
%endmacro
%macro user_modes 1-*
%rep %0
        user_one %1
%rotate 1
%endrep
%endmacro
%macro user_one 1
        %defstr %%mode %1
        user_only_of %1, %%mode
%endmacro
user_modes v86, q16, q32, c16, c32, u64
EXC v86, "gp.sti_iopl", "SDM3 20.2.7", GP_, 0, fault, {mov dword [v_flags], 0x20002}, nothing, sti
EXC v86, "gp.cli_iopl", "SDM3 20.2.7", GP_, 0, fault, {mov dword [v_flags], 0x20002}, nothing, cli
EXC v86, "gp.pushf_iopl", "SDM3 20.2.7", GP_, 0, fault, {mov dword [v_flags], 0x20002}, nothing, pushf
EXC v86, "gp.int_iopl", "SDM3 20.2.7", GP_, 0, fault, {mov dword [v_flags], 0x20002}, nothing, int 0x30
EXC v86, "ud.lldt", "SDM3 20.2", UD_, none, fault, nothing, nothing, lldt ax
EXC v86, "ud.lar", "SDM3 20.2", UD_, none, fault, nothing, nothing, {lar ax, ax}
EXC v86, "ud.verr", "SDM3 20.2", UD_, none, fault, nothing, nothing, verr ax
EXC v86, "ud.arpl", "SDM3 20.2", UD_, none, fault, nothing, nothing, {arpl ax, ax}
EXC rm, "ud.lldt", "SDM3 20.1", UD_, none, fault, nothing, nothing, lldt ax
EXC rm, "ud.ltr", "SDM3 20.1", UD_, none, fault, nothing, nothing, ltr ax
EXC rm, "ud.sldt", "SDM3 20.1", UD_, none, fault, nothing, nothing, sldt ax
EXC rm, "ud.lar", "SDM3 20.1", UD_, none, fault, nothing, nothing, {lar ax, ax}
EXC rm, "ud.lsl", "SDM3 20.1", UD_, none, fault, nothing, nothing, {lsl ax, ax}
EXC rm, "ud.verw", "SDM3 20.1", UD_, none, fault, nothing, nothing, verw ax
EXC rm, "ud.arpl", "SDM3 20.1", UD_, none, fault, nothing, nothing, {arpl ax, ax}
EXC rm, "gp.word_at_ffff", "SDM3 20.1.1, 6.15 #GP", GP_, 0, fault, nothing, {mov bx, 0xffff}, {mov ax, [bx]}
EXC rm, "gp.far_offset", "SDM3 20.1.1", GP_, 0, fault, nothing, {mov ebx, 0x10000}, {mov al, [ebx]}
EXC rm, "ss.word_at_ffff", "SDM3 20.1.1, 6.15 #SS", SS_, 0, fault, nothing, {mov bp, 0xffff}, {mov ax, [bp]}
EXC v86, "gp.word_at_ffff", "SDM3 20.2.1", GP_, 0, fault, nothing, {mov bx, 0xffff}, {mov ax, [bx]}
EXC v86, "ss.word_at_ffff", "SDM3 20.2.1", SS_, 0, fault, nothing, {mov bp, 0xffff}, {mov ax, [bp]}
EXC rm, "gp.cr0_pg_without_pe", "SDM3 6.15 #GP", GP_, 0, fault, nothing, {mov eax, 0x80000000}, {mov cr0, eax}
EXC rm, "gp.cr4_reserved", "SDM3 2.5", GP_, 0, fault, nothing, {mov eax, 0x80000000}, {mov cr4, eax}

; Page faults reach handlers from every paging mode with the address in CR2.
%macro page_of 3
        %defstr %%mode %1
        CASE {"exception.pf.absent.", %%mode}, "SDM3 4.7, 6.15 #PF", %1
        BODY
        FAULTS PF_, %2
        WANT r_cr2, W + 0x5678
        WANT r_cr2 + 4, 0
        want_stack stack_of_%1, width_of_%1
        AT
        mov al, [%3 W + 0x5678]
        END
        CASE {"exception.pf.second_page.", %%mode}, "SDM3 4.7", %1
        mov dword [kW_pte + 8], 0
        mov dword [kPt32T + 4], 0
        BODY
        FAULTS PF_, (%2) | 2
        WANT r_cr2, W + 0x1000
        WANT kTarget + 0xffc, 0xc3c3c3c3        ; nothing was written to the first page
        AT
        mov dword [%3 W + 0xffe], eax
        END
        CASE {"exception.pf.fetch_second_page.", %%mode}, "SDM3 4.7", %1
        mov dword [kW_pte + 8], 0
        mov dword [kPt32T + 4], 0
        mov byte [kTarget + 0xffe], 0x05        ; ADD eAX, imm crosses into the missing page
        BODY
        FAULTS PF_, (%2) & 4 | ((page_of_nx_%1) << 4)
        WANT r_cr2, W + 0x1000
        WANT r_ip, W + 0xffe
%if %$bits == 64
        mov eax, W + 0xffe
        jmp rax
%else
        mov eax, W + 0xffe
        jmp eax
%endif
        END
%endmacro
%define page_of_nx_g32 0
%define page_of_nx_h32 0
%define page_of_nx_a32 1
%define page_of_nx_b32 1
%define page_of_nx_c32 1
%define page_of_nx_d32 1
%define page_of_nx_k64 1
%define page_of_nx_u64 1
page_of g32, 0, dword
page_of h32, 4, dword
page_of a32, 0, dword
page_of b32, 4, dword
page_of c32, 4, dword
page_of d32, 0, dword
page_of k64, 0, abs
page_of u64, 4, abs
image_done
