; XSAVE forms; CPUID: what is advertised runs, what is not raises #UD, and CR4 agrees.
%include "ring0.inc"

; XSAVE
%macro X 5+                     ; kind, mode, vector, XCR0, instructions
        %defstr %%mode %2
        CASE {"xsave.", %1, ".", %%mode}, "SDM1 13.1 to 13.11; SDM2 XSAVE, XRSTOR", %2
        NEEDS f_cpuid1c, 1 << 26
        or dword [v_cr4], 1 << 18
        mov dword [v_xcr0], %4
        mov ecx, 0x1000 / 4
        mov edi, kTarget
        xor eax, eax
        rep stosd
        BODY
        FAULTS %3, 0
        mov ebx, W
        mov eax, 3
        xor edx, edx
        %5
        END
%endmacro
CASE "xsave.disabled.xsave.u64", "SDM1 13.3", u64
        NEEDS f_cpuid1c, 1 << 26
        BODY
        FAULTS UD_, 0
        mov ebx, W
        AT
        xsave [rbx]
        END
CASE "xsave.disabled.xgetbv.k64", "SDM1 13.3", k64
        NEEDS f_cpuid1c, 1 << 26
        BODY
        FAULTS UD_, 0
        AT
        xgetbv
        END
CASE "xsave.disabled.xsetbv.p32", "SDM1 13.3", p32
        NEEDS f_cpuid1c, 1 << 26
        BODY
        FAULTS UD_, 0
        AT
        xsetbv
        END
CASE "xsave.disabled.avx.u64", "SDM1 13.3", u64
        NEEDS f_cpuid1c, 1 << 28
        BODY
        FAULTS UD_, 0
        AT
        vaddps ymm0, ymm0, ymm0
        END
X "avx_needs_xcr0", u64, UD_, 3, {vaddps ymm0, ymm0, ymm0}
X "avx_with_xcr0", u64, NONE, 7, {vaddps ymm0, ymm0, ymm0}
X "avx128_needs_xcr0", u64, UD_, 1, {vaddps xmm0, xmm0, xmm0}
X "sse_without_xcr0", u64, NONE, 1, {addps xmm0, xmm0}
X "misaligned_xsave", u64, GP_, 3, {xsave [rbx + 32]}
X "misaligned_xrstor", u64, GP_, 3, {xrstor [rbx + 16]}
X "misaligned_xsave", h32, GP_, 3, {xsave [ebx + 8]}
X "xrstor_zero_area", u64, NONE, 3, {xrstor [rbx]}
%macro snippet1 0
        mov dword [rbx + 512], 4
        xrstor [rbx]
%endmacro
X "xrstor_bad_xstate_bv", u64, GP_, 3, snippet1
%macro snippet2 0
        mov dword [rbx + 516], 0x80000000
        xrstor [rbx]
%endmacro
X "xrstor_bad_xstate_bv_high", u64, GP_, 3, snippet2
%macro snippet3 0
        mov dword [rbx + 520], 1
        xrstor [rbx]
%endmacro
X "xrstor_bad_header8", u64, GP_, 3, snippet3
%macro snippet4 0
        mov dword [rbx + 528], 1
        xrstor [rbx]
%endmacro
X "xrstor_bad_header16", u64, GP_, 3, snippet4
%macro snippet5 0
        mov dword [rbx + 512], 2
        mov dword [rbx + 24], 0xffff0000
        xrstor [rbx]
%endmacro
X "xrstor_bad_mxcsr", u64, GP_, 3, snippet5
%macro snippet6 0
        xor ecx, ecx
        xsetbv
%endmacro
X "xsetbv_user", u64, GP_, 3, snippet6
%macro snippet7 0
        xor ecx, ecx
        mov eax, 2
        xsetbv
%endmacro
X "xsetbv_clear_x87", k64, GP_, 3, snippet7
%macro snippet8 0
        xor ecx, ecx
        mov eax, 5
        xsetbv
%endmacro
X "xsetbv_avx_without_sse", k64, GP_, 3, snippet8
%macro snippet9 0
        xor ecx, ecx
        mov edx, 0x80000000
        xsetbv
%endmacro
X "xsetbv_reserved_high", k64, GP_, 3, snippet9
%macro snippet10 0
        mov ecx, 1
        xsetbv
%endmacro
X "xsetbv_register1", k64, GP_, 3, snippet10
%macro snippet11 0
        mov ecx, 7
        xgetbv
%endmacro
X "xgetbv_register7", u64, GP_, 3, snippet11
%macro snippet12 0
        xor ecx, ecx
        xgetbv
%endmacro
X "xgetbv_user", u64, NONE, 3, snippet12
X "lock_xsave", u64, UD_, 3, {db 0xf0, 0x0f, 0xae, 0x23}
X "register_xsave", u64, UD_, 3, {db 0x0f, 0xae, 0xe3}
%macro XRESULT 5+               ; kind, address, value, mask, instructions
        CASE {"xsave.", %1, ".u64"}, "SDM1 13.7, 13.8", u64
        NEEDS f_cpuid1c, 1 << 26
        or dword [v_cr4], 1 << 18
        mov dword [v_xcr0], 3
        mov ecx, 0x1000 / 4
        mov edi, kTarget
        xor eax, eax
        rep stosd
        BODY
        FAULTS NONE
        WANT %2, %3, %4
        mov ebx, W
        mov eax, 3
        xor edx, edx
        %5
        END
%endmacro
%macro snippet13 0
        call fill_x
        xsave [rbx]
%endmacro
XRESULT "sets_xstate_bv", kTarget + 512, 3, 3, snippet13
%macro snippet14 0
        or dword [rbx + 512], 0x100
        xsave [rbx]
%endmacro
XRESULT "leaves_other_xstate_bv", kTarget + 512, 0x100, 0x100, snippet14
%macro snippet15 0
        call fill_x
        mov eax, 1
        xsave [rbx]
%endmacro
XRESULT "mask_x87_only", kTarget + 512, 1, 3, snippet15
%macro snippet16 0
        call fill_x
        xsave [rbx]
%endmacro
XRESULT "xmm0_written", kTarget + 160, 0x3f800000, -1, snippet16
%macro snippet17 0
        call fill_x
        mov eax, 1
        xsave [rbx]
%endmacro
XRESULT "xmm0_not_asked", kTarget + 160, 0, -1, snippet17
XRESULT "mxcsr_with_sse", kTarget + 24, 0x1f80, 0xffff, {xsave [rbx]}
XRESULT "header_compaction_clear", kTarget + 520, 0, -1, {xsave [rbx]}
%macro snippet18 0
        call fill_x
        mov eax, 3
        xrstor [rbx]
        movd eax, xmm0
%endmacro
XRESULT "xrstor_initialises", r_rax, 0, -1, snippet18
%macro snippet19 0
        call load_x
        movd eax, xmm0
%endmacro
XRESULT "xrstor_loads", r_rax, 0x12345678, -1, snippet19
%macro snippet20 0
        call fill_x
        mov eax, 1
        xrstor [rbx]
        movd eax, xmm0
%endmacro
XRESULT "xrstor_not_asked_keeps", r_rax, 0x3f800000, -1, snippet20
%macro XFORM 6+                 ; kind, CPUID(D,1) bit, mode, address, value, instructions
        %defstr %%mode %3
        CASE {"xsave.", %1, ".", %%mode}, "SDM1 13.9 to 13.12", %3
        NEEDS f_cpuid1c, 1 << 26
        NEEDS f_cpuidd1a, %2
        or dword [v_cr4], 1 << 18
        mov dword [v_xcr0], 3
        mov ecx, 0x1000 / 4
        mov edi, kTarget
        xor eax, eax
        rep stosd
        BODY
        WANT %4, %5
        mov ebx, W
        mov eax, 3
        xor edx, edx
        %6
        END
%endmacro
XFORM "xsavec_compacted", 2, u64, kTarget + 524, 0x80000000, {xsavec [rbx]}
XFORM "xsavec_xcomp_bv", 2, u64, kTarget + 520, 3, {xsavec [rbx]}
XFORM "xsaveopt", 1, u64, r_vector, NONE, {xsaveopt [rbx]}
XFORM "xsaves_user", 8, u64, r_vector, GP_, {xsaves [rbx]}
XFORM "xrstors_user", 8, u64, r_vector, GP_, {xrstors [rbx]}
XFORM "xsaves_kernel", 8, k64, kTarget + 524, 0x80000000, {xsaves [rbx]}
XFORM "xrstors_not_compacted", 8, k64, r_vector, GP_, {xrstors [rbx]}
%macro snippet21 0
        mov dword [rbx + 524], 0x80000000
        mov dword [rbx + 512], 1
        xrstor [rbx]
%endmacro
XFORM "xrstor_compacted_bad", 2, u64, r_vector, GP_, snippet21
%macro snippet22 0
        mov ecx, 1
        xgetbv
%endmacro
XFORM "xgetbv1_in_use", 4, u64, r_vector, NONE, snippet22
section .utext
        bits 64
fill_x: mov dword [rsp - 16], 0x3f800000
        movss xmm0, [rsp - 16]
        fld1
        mov ebx, W
        ret
load_x: mov dword [rbx + 512], 2
        mov dword [rbx + 24], 0x1f80
        mov dword [rbx + 160], 0x12345678
        xrstor [rbx]
        ret
section .text
        bits 32

; CPUID: FEATURE name, word, bit, needs AVX state, bytes. Both outcomes are checked at run time.
%macro FEATURE 5+
        CASE {"cpuid.", %1}, "SDM2 CPUID and the instruction", u64
        mov eax, [f_cpuid1c]
        bt eax, 26
        jnc %%plain
        or dword [v_cr4], 1 << 18
        mov eax, [f_xcr0]
        and eax, 0xe7           ; x87, SSE, AVX, AVX-512
        mov [v_xcr0], eax
%%plain:
        mov eax, [%2]
        bt eax, %3
        mov eax, NONE
        jc %%has
        mov eax, UD_
%%has:  mov [kLog + 0x7f0], eax
        mov dword [v_hook], compare_vector
        BODY
        WANT kLog + 0x7f4, 1            ; the vector is the one that CPUID promises
        mov ebx, kResults + 0x40
        %5
        END
%endmacro
section .text
        bits 64
compare_vector:
        mov eax, [abs r_vector]
        cmp eax, [abs kLog + 0x7f0]
        sete al
        movzx eax, al
        mov [abs kLog + 0x7f4], eax
        ret
        bits 32
%macro xgetbv_zero 0
        xor ecx, ecx
        xgetbv
%endmacro
FEATURE "sse3", f_cpuid1c, 0, 0, {haddps xmm0, xmm0}
FEATURE "pclmulqdq", f_cpuid1c, 1, 0, {pclmulqdq xmm0, xmm0, 0}
FEATURE "ssse3", f_cpuid1c, 9, 0, {pshufb xmm0, xmm0}
FEATURE "fma", f_cpuid1c, 12, 1, {vfmadd132ps xmm0, xmm0, xmm0}
FEATURE "cx16", f_cpuid1c, 13, 0, {cmpxchg16b [rbx]}
FEATURE "sse4_1", f_cpuid1c, 19, 0, {pmulld xmm0, xmm0}
FEATURE "sse4_2", f_cpuid1c, 20, 0, {pcmpgtq xmm0, xmm0}
FEATURE "movbe", f_cpuid1c, 22, 0, {movbe eax, [rbx]}
FEATURE "aes", f_cpuid1c, 25, 0, {aesenc xmm0, xmm0}
FEATURE "xsave", f_cpuid1c, 26, 0, xgetbv_zero
FEATURE "avx", f_cpuid1c, 28, 1, {vaddps ymm0, ymm0, ymm0}
FEATURE "f16c", f_cpuid1c, 29, 1, {vcvtph2ps xmm0, xmm0}
FEATURE "rdrand", f_cpuid1c, 30, 0, {rdrand eax}
FEATURE "cmov", f_cpuid1d, 15, 0, {cmovz eax, ebx}
FEATURE "clflush", f_cpuid1d, 19, 0, {clflush [rbx]}
FEATURE "mmx", f_cpuid1d, 23, 0, {paddb mm0, mm0}
FEATURE "fxsr", f_cpuid1d, 24, 0, {fxsave [rbx]}
FEATURE "sse", f_cpuid1d, 25, 0, {addps xmm0, xmm0}
FEATURE "sse2", f_cpuid1d, 26, 0, {addpd xmm0, xmm0}
FEATURE "tsc", f_cpuid1d, 4, 0, rdtsc
FEATURE "cx8", f_cpuid1d, 8, 0, {cmpxchg8b [rbx]}
FEATURE "bmi1", f_cpuid7b, 3, 1, {andn eax, eax, eax}
FEATURE "avx2", f_cpuid7b, 5, 1, {vpaddd ymm0, ymm0, ymm0}
FEATURE "bmi2", f_cpuid7b, 8, 1, {pdep eax, eax, eax}
FEATURE "rdseed", f_cpuid7b, 18, 0, {rdseed eax}
FEATURE "adx", f_cpuid7b, 19, 0, {adcx eax, eax}
FEATURE "clflushopt", f_cpuid7b, 23, 0, {db 0x66, 0x0f, 0xae, 0x3b}
FEATURE "clwb", f_cpuid7b, 24, 0, {db 0x66, 0x0f, 0xae, 0x33}
FEATURE "sha", f_cpuid7b, 29, 0, {sha256msg1 xmm0, xmm0}
FEATURE "avx512f", f_cpuid7b, 16, 1, {db 0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0}
FEATURE "rtm", f_cpuid7b, 11, 0, {db 0x0f, 0x01, 0xd6}
FEATURE "vaes", f_cpuid7c, 9, 1, {vaesenc ymm0, ymm0, ymm0}
FEATURE "vpclmulqdq", f_cpuid7c, 10, 1, {vpclmulqdq ymm0, ymm0, ymm0, 0}
FEATURE "gfni", f_cpuid7c, 8, 0, {gf2p8mulb xmm0, xmm0}
FEATURE "rdpid", f_cpuid7c, 22, 0, {db 0xf3, 0x0f, 0xc7, 0xf8}
FEATURE "movdiri", f_cpuid7c, 27, 0, {db 0x0f, 0x38, 0xf9, 0x03}
FEATURE "movdir64b", f_cpuid7c, 28, 0, {db 0x66, 0x0f, 0x38, 0xf8, 0x03}
FEATURE "serialize", f_cpuid7d, 14, 0, {db 0x0f, 0x01, 0xe8}
FEATURE "rdtscp", f_cpuid81d, 27, 0, rdtscp
FEATURE "lahf", f_cpuid81c, 0, 0, lahf
FEATURE "sse4a", f_cpuid81c, 6, 0, {db 0x66, 0x0f, 0x79, 0xc0}
FEATURE "xop", f_cpuid81c, 11, 1, {db 0x8f, 0xe9, 0x78, 0x81, 0xc0}
FEATURE "fma4", f_cpuid81c, 16, 1, {db 0xc4, 0xe3, 0x79, 0x68, 0xc0, 0}
FEATURE "tbm", f_cpuid81c, 21, 1, {db 0x8f, 0xe9, 0x78, 0x01, 0xc8}
FEATURE "3dnow", f_cpuid81d, 31, 0, {db 0x0f, 0x0f, 0xc0, 0x9e}
FEATURE "syscall_sysret_lm", f_cpuid81d, 29, 0, {nop}
; POPCNT, LZCNT, TZCNT without the feature are other instructions, not #UD: only the outcome counts.
GOODP "cpuid.popcnt", "SDM2 POPCNT", u64, {NEEDS f_cpuid1c, 1 << 23}, {popcnt eax, eax}
CASE "cpuid.lzcnt", "SDM2 LZCNT", u64
        NEEDS f_cpuid81c, 1 << 5
        BODY
        FAULTS NONE
        WANT r_rax, 32
        xor ecx, ecx
        lzcnt eax, ecx
        END
CASE "cpuid.tzcnt", "SDM2 TZCNT", u64
        NEEDS f_cpuid7b, 1 << 3
        BODY
        FAULTS NONE
        WANT r_rax, 32
        xor ecx, ecx
        tzcnt eax, ecx
        END
; CPUID against CR4: a bit can be set exactly when its feature is advertised.
%macro CR4BIT 4                 ; name, CR4 bit, word, feature bit
        CASE {"cpuid.cr4.", %1}, "SDM3 2.5", k64
        mov eax, [%3]
        bt eax, %4
        mov eax, NONE
        jc %%has
        mov eax, GP_
%%has:  mov [kLog + 0x7f0], eax
        mov dword [v_hook], compare_vector
        BODY
        WANT kLog + 0x7f4, 1
        mov rax, cr4
        bts rax, %2
        mov cr4, rax
        END
%endmacro
CR4BIT "vme", 0, f_cpuid1d, 1
CR4BIT "pvi", 1, f_cpuid1d, 1
CR4BIT "tsd", 2, f_cpuid1d, 4
CR4BIT "de", 3, f_cpuid1d, 2
CR4BIT "pse", 4, f_cpuid1d, 3
CR4BIT "mce", 6, f_cpuid1d, 7
CR4BIT "pge", 7, f_cpuid1d, 13
CR4BIT "osfxsr", 9, f_cpuid1d, 24
CR4BIT "osxmmexcpt", 10, f_cpuid1d, 25
CR4BIT "umip", 11, f_cpuid7c, 2
CR4BIT "vmxe", 13, f_cpuid1c, 5
CR4BIT "smxe", 14, f_cpuid1c, 6
CR4BIT "fsgsbase", 16, f_cpuid7b, 0
CR4BIT "pcide", 17, f_cpuid1c, 17
CR4BIT "osxsave", 18, f_cpuid1c, 26
CR4BIT "smep", 20, f_cpuid7b, 7
CR4BIT "smap", 21, f_cpuid7b, 20
CR4BIT "pke", 22, f_cpuid7c, 3
; OSXSAVE and APIC bits of CPUID follow the machine.
CASE "cpuid.osxsave_follows_cr4", "SDM2 CPUID", u64
        NEEDS f_cpuid1c, 1 << 26
        or dword [v_cr4], 1 << 18
        BODY
        FAULTS NONE
        WANT r_rcx, 1 << 27, 1 << 27
        mov eax, 1
        cpuid
        END
CASE "cpuid.osxsave_clear", "SDM2 CPUID", u64
        BODY
        FAULTS NONE
        WANT r_rcx, 0, 1 << 27
        mov eax, 1
        cpuid
        END
CASE "cpuid.ospke_follows_cr4", "SDM2 CPUID", u64
        NEEDS f_cpuid7c, 8
        or dword [v_cr4], 1 << 22
        BODY
        FAULTS NONE
        WANT r_rcx, 0x18, 0x18
        mov eax, 7
        xor ecx, ecx
        cpuid
        END
CASE "cpuid.upper_halves_cleared", "SDM2 CPUID", u64
        BODY
        FAULTS NONE
        WANT r_rax + 4, 0
        WANT r_rbx + 4, 0
        WANT r_rcx + 4, 0
        WANT r_rdx + 4, 0
        mov rax, 0xffffffff00000001
        mov rbx, -1
        mov rcx, 0xffffffff00000000
        mov rdx, -1
        cpuid
        END
CASE "cpuid.id_flag_toggles", "SDM1 3.4.3.3", p32
        BODY
        FAULTS NONE
        WANT r_rax, 1 << 21, 1 << 21
        pushfd
        pop ecx
        mov eax, ecx
        xor eax, 1 << 21
        push eax
        popfd
        pushfd
        pop eax
        xor eax, ecx
        END
ONE "cpuid.lock_prefix", "SDM2 CPUID", u64, UD_, 0, {db 0xf0, 0x0f, 0xa2}
image_done
