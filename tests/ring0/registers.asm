; Control and debug registers, MSRs that are checked, UMIP, time stamp rights, operands that must be aligned.
%include "ring0.inc"

kHole  equ 0x800000000000       ; first address that is not canonical

; Control registers
%macro REGBAD 5+                ; kind, mode, vector, section, instructions ending in the fault (AT inside)
        %defstr %%mode %2
        CASE {"register.", %1, ".", %%mode}, %4, %2
        BODY
        FAULTS %3, 0
        %5
        END
%endmacro
%macro cr_bits 3                ; register, set, clear
%if %$bits == 64
        mov rax, %1
        mov rbx, %2
        or rax, rbx
        mov rbx, ~(%3)
        and rax, rbx
        AT
        mov %1, rax
%else
        mov eax, %1
        or eax, %2
        and eax, ~(%3)
        AT
        mov %1, eax
%endif
%endmacro
REGBAD "cr0.pg_off_in_64bit", k64, GP_, "SDM2 MOV CR", cr_bits cr0, 0, 0x80000000
REGBAD "cr0.pe_off_with_pg", k64, GP_, "SDM2 MOV CR", cr_bits cr0, 0, 1
REGBAD "cr0.pe_off_with_pg", g32, GP_, "SDM2 MOV CR", cr_bits cr0, 0, 1
REGBAD "cr0.nw_without_cd", k64, GP_, "SDM2 MOV CR", cr_bits cr0, 0x20000000, 0
REGBAD "cr0.nw_without_cd", p32, GP_, "SDM2 MOV CR", cr_bits cr0, 0x20000000, 0
REGBAD "cr0.upper", k64, GP_, "SDM2 MOV CR", cr_bits cr0, 0x100000000, 0
REGBAD "cr4.pae_off", k64, GP_, "SDM2 MOV CR", cr_bits cr4, 0, 0x20
REGBAD "cr4.pae_off", d32, GP_, "SDM2 MOV CR", cr_bits cr4, 0, 0x20
REGBAD "cr4.reserved15", k64, GP_, "SDM3 2.5", cr_bits cr4, 0x8000, 0
REGBAD "cr4.reserved30", k64, GP_, "SDM3 2.5", cr_bits cr4, 0x40000000, 0
REGBAD "cr4.reserved31", p32, GP_, "SDM3 2.5", cr_bits cr4, 0x80000000, 0
REGBAD "cr4.upper", k64, GP_, "SDM2 MOV CR", cr_bits cr4, 0x800000000, 0
REGBAD "cr3.bit51", k64, GP_, "SDM2 MOV CR", cr_bits cr3, 1 << 51, 0
REGBAD "cr8.reserved", k64, GP_, "SDM3 10.8.6.1", cr_bits cr8, 0x10, 0
REGBAD "cr8.upper", k64, GP_, "SDM3 10.8.6.1", cr_bits cr8, 0x100000000, 0
%assign number 0
%rep 16
%if number != 0 && number != 2 && number != 3 && number != 4 && number != 8
        %defstr n_text number
%if number < 8
        ONE {"register.cr", n_text, ".read.k64"}, "SDM2 MOV CR", k64, UD_, 0, {db 0x0f, 0x20, 0xc0 | number << 3}
        ONE {"register.cr", n_text, ".write.p32"}, "SDM2 MOV CR", p32, UD_, 0, {db 0x0f, 0x22, 0xc0 | number << 3}
%else
        ONE {"register.cr", n_text, ".read.k64"}, "SDM2 MOV CR", k64, UD_, 0, {db 0x44, 0x0f, 0x20, 0xc0 | (number & 7) << 3}
        ONE {"register.dr", n_text, ".read.k64"}, "SDM2 MOV DR", k64, UD_, 0, {db 0x44, 0x0f, 0x21, 0xc0 | (number & 7) << 3}
%endif
%endif
%assign number number + 1
%endrep
ONEP "register.dr4.de.k64", "SDM3 17.2.2", k64, UD_, 0, {or dword [v_cr4], 8}, {db 0x0f, 0x21, 0xe0}
ONEP "register.dr5.de.p32", "SDM3 17.2.2", p32, UD_, 0, {or dword [v_cr4], 8}, {db 0x0f, 0x23, 0xe8}
GOOD "register.dr4.alias.k64", "SDM3 17.2.2", k64, {db 0x0f, 0x21, 0xe0}
CASE "register.dr6.upper.k64", "SDM2 MOV DR", k64
        BODY
        FAULTS GP_, 0
        mov rax, 0x1ffff0ff0
        AT
        mov dr6, rax
        END
CASE "register.dr7.upper.k64", "SDM2 MOV DR", k64
        BODY
        FAULTS GP_, 0
        mov rax, 0x100000400
        AT
        mov dr7, rax
        END
CASE "register.dr0.hole.k64", "SDM2 MOV DR", k64
        BODY
        FAULTS NONE
        WANT64 r_rbx, kHole
        mov rax, kHole
        mov dr0, rax
        mov rbx, dr0
        END
CASE "register.dr6.fixed_bits.k64", "SDM3 17.2.3", k64
        BODY
        FAULTS NONE
        WANT r_rbx, 0xffff0ff0, 0xfffe1ff0
        xor eax, eax
        mov dr6, rax
        mov rbx, dr6
        END
CASE "register.dr7.fixed_bits.k64", "SDM3 17.2.4", k64
        BODY
        FAULTS NONE
        WANT r_rbx, 0x400, 0xd400
        xor eax, eax
        mov dr7, rax
        mov rbx, dr7
        END
CASE "register.cr0.et_fixed.p32", "SDM3 2.5 ET", p32
        BODY
        FAULTS NONE
        WANT r_rax, 0x10, 0x10
        mov eax, cr0
        and al, ~0x10
        mov cr0, eax
        mov eax, cr0
        END
CASE "register.lmsw.cannot_clear_pe.p32", "SDM2 LMSW", p32
        BODY
        FAULTS NONE
        WANT r_rbx, 1, 1
        xor eax, eax
        lmsw ax
        mov ebx, cr0
        END
CASE "register.cr2.hole.k64", "SDM2 MOV CR", k64
        BODY
        FAULTS NONE
        WANT64 r_rbx, kHole
        mov rax, kHole
        mov cr2, rax
        mov rbx, cr2
        END
CASE "register.cr8.roundtrip.k64", "SDM3 10.8.6.1", k64
        BODY
        FAULTS NONE
        WANT r_rbx, 9
        mov eax, 9
        mov cr8, rax
        mov rbx, cr8
        xor eax, eax
        mov cr8, rax
        END
; UMIP
%macro UMIP 4+
        %defstr %%mode %2
        CASE {"umip.", %1, ".", %%mode}, "SDM3 2.5 UMIP", %2
        NEEDS f_cpuid7c, 4
        or dword [v_cr4], 1 << 11
        BODY
        FAULTS %3, 0
%if %3 != NONE
        AT
%endif
        %4
        END
%endmacro
UMIP "sgdt", u64, GP_, sgdt [abs kResults]
UMIP "sidt", u64, GP_, sidt [abs kResults]
UMIP "sldt", u64, GP_, sldt eax
UMIP "str", u64, GP_, str eax
UMIP "smsw", u64, GP_, smsw eax
UMIP "sgdt", q32, GP_, sgdt [kResults]
UMIP "smsw", v86, GP_, smsw ax
UMIP "sldt", c32, GP_, sldt eax
UMIP "sgdt", k64, NONE, sgdt [abs kResults]
UMIP "str", p32, NONE, str eax
GOOD "umip.off.sgdt.u64", "SDM3 2.5 UMIP", u64, sgdt [abs kResults]
GOOD "umip.off.str.q32", "SDM3 2.5 UMIP", q32, str eax

; MSRs
%macro MSRBAD 4                 ; kind, MSR, low, high: WRMSR is #GP(0)
        CASE {"msr.write.", %1, ".k64"}, "SDM4; SDM2 WRMSR", k64
        BODY
        FAULTS GP_, 0
        mov ecx, %2
        mov eax, %3
        mov edx, %4
        AT
        wrmsr
        END
%endmacro
MSRBAD "unknown", 0xdeadbeef, 0, 0
MSRBAD "unknown_high", 0xc0010fff, 0, 0
MSRBAD "efer_reserved", 0xc0000080, 0xd02 | 2, 0
MSRBAD "efer_upper", 0xc0000080, 0xd01, 1
MSRBAD "efer_lme_off_with_paging", 0xc0000080, 0xc01, 0
MSRBAD "pat_type2", 0x277, 0x02070406, 0x00070406
MSRBAD "pat_type3", 0x277, 0x00070406, 0x03070406
MSRBAD "pat_upper_bits", 0x277, 0x80070406, 0x00070406
MSRBAD "mtrrcap_read_only", 0xfe, 0, 0
MSRBAD "mtrr_def_type2", 0x2ff, 2, 0
MSRBAD "mtrr_def_reserved", 0x2ff, 0x100c00 | 0x1000, 0
MSRBAD "mtrr_fixed_type", 0x250, 2, 0
MSRBAD "mtrr_base_type", 0x200, 2, 0
MSRBAD "mtrr_base_reserved", 0x200, 0x106, 0
MSRBAD "mtrr_mask_reserved", 0x201, 1, 0
MSRBAD "apic_base_reserved", 0x1b, 0xfee00801, 0
MSRBAD "apic_base_bit51", 0x1b, 0xfee00900, 0x80000
MSRBAD "x2apic_in_xapic", 0x80b, 0, 0
%macro MSRREAD 3                ; kind, MSR, vector
        CASE {"msr.read.", %1, ".k64"}, "SDM4; SDM2 RDMSR", k64
        BODY
        FAULTS %3, 0
        mov ecx, %2
        rdmsr
        END
%endmacro
MSRREAD "unknown", 0xdeadbeef, GP_
MSRREAD "unknown_high", 0xc0010fff, GP_
MSRREAD "x2apic_in_xapic", 0x802, GP_
MSRREAD "tsc", 0x10, NONE
MSRREAD "apic_base", 0x1b, NONE
MSRREAD "mtrrcap", 0xfe, NONE
MSRREAD "sysenter_cs", 0x174, NONE
MSRREAD "sysenter_esp", 0x175, NONE
MSRREAD "sysenter_eip", 0x176, NONE
MSRREAD "mcg_cap", 0x179, NONE
MSRREAD "mcg_status", 0x17a, NONE
MSRREAD "misc_enable", 0x1a0, NONE
MSRREAD "mtrr_base0", 0x200, NONE
MSRREAD "mtrr_fix64k", 0x250, NONE
MSRREAD "mtrr_fix4k_f8000", 0x26f, NONE
MSRREAD "pat", 0x277, NONE
MSRREAD "mtrr_def_type", 0x2ff, NONE
MSRREAD "efer", 0xc0000080, NONE
MSRREAD "star", 0xc0000081, NONE
MSRREAD "lstar", 0xc0000082, NONE
MSRREAD "cstar", 0xc0000083, NONE
MSRREAD "fmask", 0xc0000084, NONE
MSRREAD "fs_base", 0xc0000100, NONE
MSRREAD "gs_base", 0xc0000101, NONE
MSRREAD "kernel_gs_base", 0xc0000102, NONE
%macro MSRKEEP 4                ; kind, MSR, low, high: reads back
        CASE {"msr.keeps.", %1, ".k64"}, "SDM4", k64
        BODY
        FAULTS NONE
        WANT r_rax, %3
        WANT r_rdx, %4
        mov ecx, %2
        rdmsr
        mov esi, eax
        mov edi, edx
        mov eax, %3
        mov edx, %4
        wrmsr
        xor eax, eax
        xor edx, edx
        rdmsr
        mov ebx, eax
        mov ebp, edx
        mov eax, esi
        mov edx, edi
        wrmsr
        mov eax, ebx
        mov edx, ebp
        END
%endmacro
MSRKEEP "star", 0xc0000081, 0x12345678, 0x9abcdef0
MSRKEEP "lstar", 0xc0000082, 0x12345678, 0xffff8000
MSRKEEP "fmask", 0xc0000084, 0x12345678, 0
MSRKEEP "kernel_gs_base", 0xc0000102, 0xffffffff, 0x7fff
MSRKEEP "sysenter_esp", 0x175, 0x12345678, 0xffff8001
MSRKEEP "sysenter_eip", 0x176, 0x12345678, 0x00007fff
MSRKEEP "pat", 0x277, 0x00070401, 0x05060007
MSRKEEP "mtrr_fix64k", 0x250, 0x06050401, 0x06060606
CASE "msr.efer.lma_not_written.k64", "SDM3 2.2.1", k64
        BODY
        FAULTS NONE
        WANT r_rax, 0x400, 0x400
        mov ecx, 0xc0000080
        rdmsr
        and eax, ~0x400
        wrmsr
        rdmsr
        END
CASE "msr.tsc.advances.k64", "SDM3 17.17", k64
        BODY
        FAULTS NONE
        WANT r_rax, 1
        rdtsc
        mov ebx, eax
        mov ecx, 0x10
        rdmsr
        sub eax, ebx
        setns al
        movzx eax, al
        END
%macro USERTIME 4+
        CASE {"tsd.", %1, ".u64"}, "SDM3 2.5 TSD, PCE", u64
        %2
        BODY
        FAULTS %3, 0
        %4
        END
%endmacro
USERTIME "rdtsc_allowed", {}, NONE, rdtsc
USERTIME "rdtsc_denied", {or dword [v_cr4], 4}, GP_, rdtsc
%macro tsd_rdtscp 0
        NEEDS f_cpuid81d, 1 << 27
        or dword [v_cr4], 4
%endmacro
USERTIME "rdtscp_denied", {tsd_rdtscp}, GP_, rdtscp
; Operand alignment that is always checked
%macro ALIGNED 5+               ; kind, mode, field, bit, instruction
        %defstr %%mode %2
        CASE {"alignment.", %1, ".", %%mode}, "SDM2 of the instruction; SDM3 6.15 #GP", %2
        NEEDS %3, %4
        BODY
        FAULTS GP_, 0
        mov ebx, kResults + 8
        AT
        %5
        END
%endmacro
ALIGNED "movaps", u64, f_cpuid1d, 1 << 25, {movaps xmm0, [rbx]}
ALIGNED "movdqa", k64, f_cpuid1d, 1 << 26, {movdqa [rbx], xmm0}
ALIGNED "addps", u64, f_cpuid1d, 1 << 25, {addps xmm0, [rbx]}
ALIGNED "fxsave", u64, f_cpuid1d, 1 << 24, {fxsave [rbx]}
ALIGNED "fxrstor", k64, f_cpuid1d, 1 << 24, {fxrstor [rbx]}
ALIGNED "cmpxchg16b", u64, f_cpuid1c, 1 << 13, {cmpxchg16b [rbx]}
ALIGNED "movntps", q32, f_cpuid1d, 1 << 25, {movntps [ebx], xmm0}
ALIGNED "movaps", p32, f_cpuid1d, 1 << 25, {movaps xmm0, [ebx]}
ALIGNED "movaps", c32, f_cpuid1d, 1 << 25, {movaps [ebx], xmm0}
image_done
