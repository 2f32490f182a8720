; Corners where several rules meet: CR0.EM and TS against each kind of instruction, inner stacks of
; interrupts and EXT, activation of IA-32e mode, PDPTEs, single steps through SYSENTER and SYSRET,
; forms of MOV CR, instruction length at a page's end, faults inside the I/O bitmap and a TSS.
%include "ring0.inc"

; CR0.EM and CR0.TS (SDM3 2.5, 13.1; SDM2 table 2-18): KIND name, vector, CR0 bits, instruction
kEm equ 4
kTs equ 8
%macro STATE 5+                 ; mode, name, vector, CR0 bits, instruction
        %defstr %%mode %1
        CASE {"state.", %2, ".", %%mode}, "SDM3 2.5, 12.1, 13.1", %1
        or dword [v_cr0], %4
        BODY
        FAULTS %3
%if %3 != NONE
        AT
%endif
        %5
        END
%endmacro
%macro states 1
        STATE %1, "mmx_em", UD_, kEm, paddb mm0, mm1
        STATE %1, "mmx_ts", NM_, kTs, paddb mm0, mm1
        STATE %1, "mmx_em_ts", UD_, kEm | kTs, paddb mm0, mm1
        STATE %1, "emms_em", UD_, kEm, emms
        STATE %1, "emms_ts", NM_, kTs, emms
        STATE %1, "fxsave_em", NM_, kEm, {fxsave [kResults + 0x100]}
        STATE %1, "fxsave_ts", NM_, kTs, {fxsave [kResults + 0x100]}
        STATE %1, "fxrstor_em", NM_, kEm, {fxrstor [kResults + 0x100]}
        STATE %1, "fxrstor_ts", NM_, kTs, {fxrstor [kResults + 0x100]}
        STATE %1, "ldmxcsr_em", UD_, kEm, {ldmxcsr [kResults]}
        STATE %1, "stmxcsr_ts", NM_, kTs, {stmxcsr [kResults]}
        STATE %1, "cvtpi2ps_em", UD_, kEm, cvtpi2ps xmm0, mm0
        STATE %1, "cvtpi2ps_ts", NM_, kTs, cvtpi2ps xmm0, mm0
        STATE %1, "fcmov_em", NM_, kEm, fcmovb st0, st1
        STATE %1, "fwait_em", NONE, kEm, fwait
        STATE %1, "sfence", NONE, kEm | kTs, sfence
        STATE %1, "lfence", NONE, kEm | kTs, lfence
        STATE %1, "mfence", NONE, kEm | kTs, mfence
        STATE %1, "pause", NONE, kEm | kTs, pause
        STATE %1, "prefetch", NONE, kEm | kTs, {prefetcht0 [kResults]}
        STATE %1, "movnti", NONE, kEm | kTs, {movnti [kResults], eax}
        STATE %1, "clflush", NONE, kEm | kTs, {clflush [kResults]}
        STATE %1, "crc32", NONE, kEm | kTs, crc32 eax, cl
        STATE %1, "popcnt", NONE, kEm | kTs, popcnt eax, ecx
%endmacro
states rm
states v86
states p32
states q32
states k64
states u64

; An x87 exception that waits: what looks for it first, and what does not.
%macro WAITING 4+               ; mode, name, vector, instruction
        %defstr %%mode %1
        CASE {"state.waiting.", %2, ".", %%mode}, "SDM1 8.6, 8.7; SDM2 table 2-18", %1
        BODY
        FAULTS %3
        fninit
        mov word [kResults], 0x37b      ; zero divide unmasked
        fldcw [kResults]
        fldz
        fld1
        fdiv st0, st1
%if %3 != NONE
        AT
%endif
        %4
        END
%endmacro
%macro waiting 1
        WAITING %1, "mmx", MF_, paddb mm0, mm1
        WAITING %1, "emms", MF_, emms
        WAITING %1, "cvtpi2ps", MF_, cvtpi2ps xmm0, mm0
        WAITING %1, "movq2dq", MF_, movq2dq xmm0, mm0
        WAITING %1, "fldcw", MF_, {fldcw [kResults]}
        WAITING %1, "fldenv", MF_, {fldenv [kResults + 0x100]}
        WAITING %1, "fnop", MF_, fnop
        WAITING %1, "fnstsw", NONE, fnstsw ax
        WAITING %1, "fnstcw", NONE, {fnstcw [kResults]}
        WAITING %1, "fnclex", NONE, fnclex
        WAITING %1, "fninit", NONE, fninit
        WAITING %1, "fnsave", NONE, {fnsave [kResults + 0x100]}
        WAITING %1, "fnstenv", NONE, {fnstenv [kResults + 0x100]}
        WAITING %1, "fxsave", NONE, {fxsave [kResults + 0x100]}
        WAITING %1, "sse", NONE, addps xmm0, xmm1
        WAITING %1, "cvtps2dq", NONE, cvtps2dq xmm0, xmm1
%endmacro
waiting rm
waiting q32
waiting u64

; AVX does not look at CR0.EM, BMI at nothing of it all (SDM2 2.4, 2.5; SDM1 13.3).
%macro VEX 6+                   ; mode, name, vector, CR0 bits, XCR0 or 0 for no OSXSAVE, instruction
        %defstr %%mode %1
        CASE {"state.vex.", %2, ".", %%mode}, "SDM2 2.4, 2.5.1", %1
        NEEDS f_cpuid1c, 1 << 28
        NEEDS f_cpuid7b, 1 << 3
        or dword [v_cr0], %4
%if %5
        or dword [v_cr4], 1 << 18
        mov dword [v_xcr0], %5
%endif
        BODY
        FAULTS %3
%if %3 != NONE
        AT
%endif
        %6
        END
%endmacro
%macro vex_states 1
        VEX %1, "avx_em", NONE, kEm, 7, vaddps ymm0, ymm0, ymm0
        VEX %1, "avx_ts", NM_, kTs, 7, vaddps ymm0, ymm0, ymm0
        VEX %1, "vzeroupper_ts", NM_, kTs, 7, vzeroupper
        VEX %1, "vmovd_ts", NM_, kTs, 7, vmovd xmm0, eax
        VEX %1, "avx_ts_no_osxsave", UD_, kTs, 0, vaddps ymm0, ymm0, ymm0
        VEX %1, "avx_no_osfxsr", NONE, 0, 7, {clear_osfxsr}
        VEX %1, "andn_em_ts", NONE, kEm | kTs, 0, andn eax, ecx, edx
        VEX %1, "bextr_em_ts", NONE, kEm | kTs, 0, bextr eax, ecx, edx
        VEX %1, "andn_lock", UD_, 0, 7, {db 0xf0, 0xc4, 0xe2, 0x70, 0xf2, 0xc2}
        VEX %1, "avx_66", UD_, 0, 7, {db 0x66, 0xc5, 0xf8, 0x58, 0xc0}
        VEX %1, "avx_f2", UD_, 0, 7, {db 0xf2, 0xc5, 0xf8, 0x58, 0xc0}
        VEX %1, "avx_f3", UD_, 0, 7, {db 0xf3, 0xc5, 0xf8, 0x58, 0xc0}
        VEX %1, "avx_lock", UD_, 0, 7, {db 0xf0, 0xc5, 0xf8, 0x58, 0xc0}
        VEX %1, "avx_segment", NONE, 0, 7, {db 0x2e, 0xc5, 0xf8, 0x58, 0xc0}
        VEX %1, "avx_67", NONE, 0, 7, {db 0x67, 0xc5, 0xf8, 0x58, 0xc0}
        VEX %1, "map0", UD_, 0, 7, {db 0xc4, 0xe0, 0x78, 0x58, 0xc0}
        VEX %1, "map4", UD_, 0, 7, {db 0xc4, 0xe4, 0x78, 0x58, 0xc0}
        VEX %1, "vvvv_of_vmovaps", UD_, 0, 7, {db 0xc5, 0xf0, 0x28, 0xc0}
        VEX %1, "l1_of_vmovd", UD_, 0, 7, {db 0xc5, 0xfd, 0x6e, 0xc0}
        VEX %1, "gather_same_registers", UD_, 0, 7, {db 0xc4, 0xe2, 0x71, 0x92, 0x04, 0x05, 0, 0, 0, 0}
        VEX %1, "gather_mask_is_index", UD_, 0, 7, {db 0xc4, 0xe2, 0x71, 0x92, 0x04, 0x0d, 0, 0, 0, 0}
%endmacro
%macro clear_osfxsr 0
        vaddps xmm0, xmm0, xmm0
%endmacro
vex_states q32
vex_states u64
VEX u64, "avx_rex", UD_, 0, 7, {db 0x40, 0xc5, 0xf8, 0x58, 0xc0}
VEX u64, "andn_rex", UD_, 0, 0, {db 0x48, 0xc4, 0xe2, 0x70, 0xf2, 0xc2}
VEX rm, "andn", UD_, 0, 0, {db 0xc4, 0xe2, 0x70, 0xf2, 0xc2}
VEX v86, "andn", UD_, 0, 0, {db 0xc4, 0xe2, 0x70, 0xf2, 0xc2}
VEX v86, "avx", UD_, 0, 0, {db 0xc5, 0xf8, 0x58, 0xc0}
%macro XSTATE 4+                ; mode, name, vector, instruction
        VEX %1, %2, %3, kTs, 3, %4
%endmacro
XSTATE q32, "xsave_ts", NM_, {xsave [kResults + 0x100]}
XSTATE q32, "xrstor_ts", NM_, {xrstor [kResults + 0x100]}
XSTATE u64, "xsave_ts", NM_, {xsave [kResults + 0x100]}
XSTATE u64, "xrstor_ts", NM_, {xrstor [kResults + 0x100]}
VEX u64, "xsave_em", NONE, kEm, 3, {xsave [kResults + 0x100]}
CASE "state.vex.xgetbv_ts.u64", "SDM2 XGETBV", u64
        NEEDS f_cpuid1c, 1 << 26
        or dword [v_cr0], kEm | kTs
        or dword [v_cr4], 1 << 18
        mov dword [v_xcr0], 3
        BODY
        FAULTS NONE
        WANT r_rax, 3
        xor ecx, ecx
        xgetbv
        END

; Interrupts and exceptions to ring 1 with a stack that is wrong: EXT tells who asked.
%macro inner_stack 1-4 0xb3, 0xfffff, kTaskStack        ; SS1, its access byte, limit, ESP1
        DESC kT1, 0, 0xfffff, 0xbb, 0xc                 ; code, DPL 1
        DESC kT2, 0, %3, %2, 0xc * ((%3) == 0xfffff) + 4 * ((%3) != 0xfffff)
        mov dword [kTss32 + 0x0c], %4
        mov dword [kTss32 + 0x10], %1
%endmacro
%macro INNER 5                  ; name, vector, selector of the error code, EXT of INT n, {preparation}
        CASE {"gate.inner_stack.", %1, ".int"}, "SDM2 INT n; SDM3 6.13", q32
        %5
        IDTGATE 0x60, kT1, inner_end, 0xee
        BODY
        FAULTS %2, %3
        AT
        int 0x60
        END
        CASE {"gate.inner_stack.", %1, ".exception"}, "SDM2 INT n; SDM3 6.13", q32
        %5
        IDTGATE UD_, kT1, inner_end, 0x8e
        BODY
        FAULTS %2, (%3) | 1
        AT
        ud2
        END
        CASE {"gate.inner_stack.", %1, ".int3"}, "SDM2 INT n; SDM3 6.13", q32
        %5
        IDTGATE BP_, kT1, inner_end, 0xee
        BODY
        FAULTS %2, %3
        AT
        int3
        END
%endmacro
inner_end:
        int kDone
INNER "null", TS_, 0, 0, {inner_stack 1}
INNER "beyond_gdt", TS_, 0x1000, 0, {inner_stack 0x1001}
INNER "rpl", TS_, kT2, 0, {inner_stack kT2 | 2}
INNER "dpl", TS_, kT2, 0, {inner_stack kT2 | 1, 0x93}
INNER "code", TS_, kT2, 0, {inner_stack kT2 | 1, 0xbb}
INNER "read_only", TS_, kT2, 0, {inner_stack kT2 | 1, 0xb1}
INNER "not_present", SS_, kT2, 0, {inner_stack kT2 | 1, 0x33}
INNER "too_small", SS_, kT2, 0, {inner_stack kT2 | 1, 0xb3, 0xfff, 8}
%macro inner_tss 0
        inner_stack kT2 | 1
        mov word [kGdt + kTss], 0x10
%endmacro
INNER "tss_too_small", TS_, kTss, 0, {inner_tss}

; IA-32e mode aligns the frame, also without a change of privilege and with IST (SDM3 6.14.2).
%macro ALIGNED 2
        CASE {"gate.frame_aligned.", %1, ".k64"}, "SDM3 6.14.2", k64
        BODY
        FAULTS UD_
        WANT r_sp, kStack0 - %2
        WANT r_hsp, ((kStack0 - %2) & ~15) - 40
        WANT r_ss, kData32
        sub rsp, %2
        AT
        ud2
        END
%endmacro
ALIGNED "1", 1
ALIGNED "8", 8
ALIGNED "15", 15
ALIGNED "16", 16
CASE "gate.frame_aligned.ist.u64", "SDM3 6.14.2, 6.14.5", u64
        mov dword [v_ist], 1
        mov dword [kTss64 + 0x24], kIstStack - 3
        BODY
        FAULTS UD_
        WANT r_hsp, kIstStack - 16 - 40
        AT
        ud2
        END

; Activation of IA-32e mode and of PAE paging.
%macro PAGING_ON 4              ; name, vector, CR4, {preparation}
        CASE {"mode.activate.", %1, ".p32"}, "SDM3 9.8.5, 4.1.1", p32
        %4
        mov dword [v_efer], 0x100       ; LME
        mov dword [v_cr3], kPml4
        mov dword [v_cr4], %3
        BODY
        FAULTS %2, 0
        mov eax, cr0
        or eax, 0x80000000
        AT
        mov cr0, eax
        END
%endmacro
PAGING_ON "without_pae", GP_, 0, {}
PAGING_ON "16_bit_tss", GP_, 0x20, {mov dword [v_tr], kTask16}
CASE "mode.activate.pdpte_reserved.p32", "SDM3 4.4.1", p32
        mov dword [v_cr3], kPdptPae
        mov dword [v_cr4], 0x20
        or dword [kPdptPae + 8], 2
        BODY
        FAULTS GP_, 0
        mov eax, cr0
        or eax, 0x80000000
        AT
        mov cr0, eax
        END
; What loads the PDPTEs again, and what does not.
%macro PDPTE 5                  ; name, vector, control register, bits that change, {preparation}
        CASE {"mode.pdpte.", %1, ".a32"}, "SDM3 4.4.1", a32
        %5
        BODY
        FAULTS %2
        mov eax, %3
        xor eax, %4
        or dword [kPdptPae + 8], 2
%if %2 != NONE
        AT
%endif
        mov %3, eax
        END
%endmacro
PDPTE "pge", GP_, cr4, 0x80, {}
PDPTE "pse", GP_, cr4, 0x10, {}
PDPTE "cd", GP_, cr0, 0x40000000, {}
PDPTE "tsd", NONE, cr4, 4, {}
PDPTE "wp", NONE, cr0, 0x10000, {}
PDPTE "ts", NONE, cr0, 8, {}
PDPTE "am", NONE, cr0, 0x40000, {}
PDPTE "de", NONE, cr4, 8, {}

; Single steps: SYSENTER leaves TF, SYSRET and SYSCALL look at it when they are done.
CASE "debug.step.sysenter.q32", "SDM2 SYSENTER; SDM3 17.3.1.4", q32
        mov dword [v_flags], 0x102
        mov dword [v_goes_on], 1 << DB_
        mov dword [v_clear], 0x100
        set_msr 0x174, kFast, 0
        set_msr 0x175, kStack0, 0
        set_msr 0x176, .entry, 0
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT kLog + 4, .entry
        WANT kLog + 12, 0xffff4ff0
        WANT kLog + 28, kFast
        WANT kLog + 16, 0x100, 0x300
        sysenter
        section .text
.entry: int kDone
        section .text
        END
CASE "debug.step.sysret_sets_tf.k64", "SDM2 SYSRET; SDM3 17.3.1.4", k64
        mov dword [v_goes_on], 1 << DB_
        mov dword [v_clear], 0x100
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT kLog + 4, step_target      ; ahead of the first instruction of the program
        WANT kLog + 12, 0xffff4ff0
        WANT kLog + 28, kUCode64
        mov ecx, step_target
        mov r11d, 0x102
        o64 sysret
        [section .utext]
step_target:
        nop
        int kDone
        __SECT__
        END
CASE "debug.step.sysret_clears_tf.k64", "SDM2 SYSRET; SDM3 17.3.1.4", k64
        mov dword [v_flags], 0x102
        mov dword [v_goes_on], 1 << DB_
        BODY
        FAULTS NONE
        WANT r_count, 3                 ; behind the two MOVs only
        mov ecx, step_target
        mov r11d, 2
        o64 sysret
        END
CASE "debug.step.syscall_keeps_tf.u64", "SDM2 SYSCALL; SDM3 17.3.1.4", u64
        mov dword [v_flags], 0x102
        mov dword [v_goes_on], 1 << DB_
        mov dword [v_clear], 0x100
        set_msr 0xc0000082, .entry, 0
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT kLog + 4, .entry
        WANT kLog + 12, 0xffff4ff0
        WANT kLog + 28, kCode64
        syscall
        section .text
.entry: int kDone
        section .text
        END

; MOV to and from control and debug registers ignores the upper two bits of ModRM (SDM2 MOV CR).
%macro MOVCR 2
        CASE {"register.mod_ignored.cr0.", %2}, "SDM2 MOV to/from control registers", %1
        BODY
        FAULTS NONE
        WANT r_rbx, 0x11, 0x11
        WANT r_rcx, 1
        db 0x0f, 0x20, 0x03             ; [ebx] by its form
        inc ecx
        END
        CASE {"register.mod_ignored.disp32.", %2}, "SDM2 MOV to/from control registers", %1
        BODY
        FAULTS NONE
        WANT r_rbp, 0x11, 0x11
        WANT r_rcx, 1
        db 0x0f, 0x20, 0x05             ; [disp32] by its form, without the displacement
        inc ecx
        END
        CASE {"register.mod_ignored.dr6.", %2}, "SDM2 MOV to/from debug registers", %1
        BODY
        FAULTS NONE
        WANT r_rbx, 0xffff0ff0
        db 0x0f, 0x21, 0x73
        END
%endmacro
MOVCR p32, "p32"
MOVCR k64, "k64"

; Fifteen prefixes fill a page, and the next is not there: too long is told, no page fault. With one
; byte less the sixteenth... the fifteenth byte is asked for.
%macro LENGTH 5                 ; mode, name, prefixes on the page, vector, CR2
        %defstr %%mode %1
        CASE {"exception.length.", %2, ".", %%mode}, "SDM3 6.15 #GP; SDM2 2.3.11", %1
        mov dword [kW_pte + 8], 0
        mov dword [kPt32T + 4], 0
        mov edi, kTarget + 0x1000 - %3
        mov ecx, %3
        mov al, 0x2e
        rep stosb
        BODY
        FAULTS %4
        WANT r_ip, W + 0x1000 - %3
        WANT r_cr2, %5
        mov eax, W + 0x1000 - %3
%if %$bits == 64
        jmp rax
%else
        jmp eax
%endif
        END
%endmacro
%macro lengths 1
        LENGTH %1, "fifteen_prefixes_end_page", 15, GP_, 0
        LENGTH %1, "fourteen_prefixes_end_page", 14, PF_, W + 0x1000
        LENGTH %1, "one_prefix_ends_page", 1, PF_, W + 0x1000
%endmacro
lengths g32
lengths h32
lengths b32
lengths k64
lengths u64

; An I/O bitmap that lies on a missing page: a page fault of the supervisor (SDM1 18.5.2; SDM3 4.6).
%macro BITMAP 2+                ; name, instruction
        CASE {"io.bitmap_absent.", %1, ".h32"}, "SDM1 19.5.2; SDM3 4.6.1, 4.7", h32
        mov edi, kTarget + 0x3f00
        xor eax, eax
        mov ecx, 0x68 / 4
        rep stosd
        mov dword [kTarget + 0x3f04], kTssStack
        mov dword [kTarget + 0x3f08], kData32
        mov word [kTarget + 0x3f66], 0x100
        DESC kT0, W + 0x3f00, 0x2fff, 0x89, 0
        mov dword [v_tr], kT0
        BODY
        FAULTS PF_, 0
        WANT r_cr2, W + 0x400c
        AT
        %2
        END
%endmacro
BITMAP "in", {in al, 0x60}
BITMAP "out", {out 0x60, al}

; A task whose TSS is on a missing page: nothing has changed yet (SDM3 7.3).
%macro TASKPAGE 1
        %defstr %%insn %1
        CASE {"task.", %%insn, ".tss_absent.g32"}, "SDM3 7.3", g32
        DESC kT0, W + 0x5000, 0x67, 0x89, 0
        BODY
        FAULTS PF_
        WANT r_cr2, W + 0x5000, 0xfffff000
        WANT r_tr, kTss
        WANT kGdt + kT0 + 4, 0x8900, 0xff00
        WANT kGdt + kTss + 4, 0x8b00, 0xff00
        WANT r_flags, 0, 0x4000
        mov word [dword kResults + 4], kT0
        AT
        %1 far dword [dword kResults]
        END
%endmacro
TASKPAGE jmp
TASKPAGE call
; RF in the TSS that a fault leaves through a task gate (SDM3 17.3.1.1).
CASE "task.exception.rf_in_old_tss.p32", "SDM3 17.3.1.1", p32
        DESC kT2, kTaskState, 0x67, 0x89, 0
        IDTGATE UD_, kT2, 0, 0xe5
        BODY
        FAULTS NONE
        WANT kTss32 + 0x24, 0x10000, 0x10000
        WANT kTss32 + 0x20, %$here
%$here: ud2
        END
CASE "task.int.no_rf_in_old_tss.p32", "SDM3 17.3.1.1", p32
        DESC kT2, kTaskState, 0x67, 0x89, 0
        IDTGATE 0x60, kT2, 0, 0xe5
        BODY
        FAULTS NONE
        WANT kTss32 + 0x24, 0, 0x10000
        WANT kTss32 + 0x20, %$here
        int 0x60
%$here:
        END

; CLFLUSH may use an execute-only segment; a load may not (SDM2 CLFLUSH).
%macro EXECUTE_ONLY 3+
        CASE {"limit.execute_only.", %1, ".p32"}, "SDM2 CLFLUSH", p32
        NEEDS f_cpuid1d, 1 << 19
        DESC kT0, 0, 0xfffff, 0x99, 0xc
        BODY
        FAULTS %2
        jmp kT0:%%there
%%there: %3
        END
%endmacro
EXECUTE_ONLY "load", GP_, {mov al, [cs:kResults]}
EXECUTE_ONLY "clflush", NONE, {cs clflush [kResults]}
CASE "limit.clflush_beyond.p32", "SDM2 CLFLUSH", p32
        NEEDS f_cpuid1d, 1 << 19
        BODY
        FAULTS GP_, 0
        mov ax, kSmall
        mov ds, ax
        AT
        clflush [0x1000]
        END

; Protection keys (SDM2 RDPKRU, WRPKRU)
%macro KEYS 4                   ; name, vector, CR4.PKE, {instructions}
        CASE {"pkru.", %1, ".u64"}, "SDM2 RDPKRU, WRPKRU", u64
        NEEDS f_cpuid7c, 1 << 3
        or dword [v_cr4], %3
        BODY
        FAULTS %2, 0
        xor eax, eax
        xor ecx, ecx
        xor edx, edx
        %4
        END
%endmacro
%define kPke 1 << 22
KEYS "rdpkru", NONE, kPke, {rdpkru}
KEYS "rdpkru_disabled", UD_, 0, {rdpkru}
KEYS "wrpkru_disabled", UD_, 0, {wrpkru}
%macro ecx_one 1
        mov ecx, 1
        %1
%endmacro
%macro edx_one 1
        mov edx, 1
        %1
%endmacro
KEYS "rdpkru_ecx", GP_, kPke, {ecx_one rdpkru}
KEYS "wrpkru_ecx", GP_, kPke, {ecx_one wrpkru}
KEYS "wrpkru_edx", GP_, kPke, {edx_one wrpkru}
KEYS "rdpkru_66", UD_, kPke, {db 0x66, 0x0f, 0x01, 0xee}
KEYS "rdpkru_lock", UD_, kPke, {db 0xf0, 0x0f, 0x01, 0xee}

; LGDT and LIDT with 16-bit operands load 24 bits of the base (SDM2 LGDT).
CASE "segment.lidt.operand16.p32", "SDM2 LGDT, LIDT", p32
        BODY
        FAULTS NONE
        WANT kResults + 0x12, kIdt
        mov word [kResults], 0x7ff
        mov dword [kResults + 2], 0xaa000000 + kIdt
        o16 lidt [kResults]
        sidt [kResults + 0x10]
        END
CASE "segment.lgdt.operand16.p32", "SDM2 LGDT, LIDT", p32
        BODY
        FAULTS NONE
        WANT kResults + 0x12, kGdt
        mov word [kResults], kGdtLimit
        mov dword [kResults + 2], 0xaa000000 + kGdt
        o16 lgdt [kResults]
        sgdt [kResults + 0x10]
        END
CASE "segment.lidt.operand16.k64", "SDM2 LGDT, LIDT", k64
        BODY
        FAULTS NONE
        WANT kResults + 0x12, kIdt
        WANT kResults + 0x16, 0xffffff80
        mov word [kResults], 0xfff
        mov rax, 0xffffff8000000000 + kIdt
        mov [kResults + 2], rax
        sidt [kResults + 0x20]
        o16 lidt [kResults]             ; all ten bytes whatever the prefix
        sidt [kResults + 0x10]
        lidt [kResults + 0x20]
        END

; Debug: a breakpoint on I/O stops REP OUTS behind each iteration, DR7.GD lets DR accesses fault.
CASE "debug.io.rep_outsb.p32", "SDM3 17.3.1.2", p32
        mov dword [v_goes_on], 1 << DB_
        or dword [v_cr4], 8             ; DE
        mov eax, 0x80
        mov dr0, eax
        mov eax, 0x20402                ; I/O, one byte, global
        mov dr7, eax
        BODY
        FAULTS NONE
        WANT r_count, 4
        WANT kLog + 4, %$rep
        WANT kLog + 12, 0xffff0ff1
        WANT kLog + 32 + 4, %$rep
        WANT kLog + 64 + 4, %$behind
        mov esi, kResults
        mov ecx, 3
        mov edx, 0x80
%$rep:  rep outsb
%$behind:
        END
CASE "debug.gd.handler_clears.p32", "SDM3 17.2.4", p32
        mov eax, 0x2400
        mov dr7, eax
        BODY
        FAULTS DB_
        WANT r_dr7, 0x400
        WANT r_dr6, 0xffff2ff0
        AT
        mov eax, dr0
        END
image_done
