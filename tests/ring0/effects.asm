; What takes effect at once: SMEP, SMAP, protection keys, NX, large pages and PCIDs after their
; invalidation, accessed bits of descriptors, TSC_ADJUST.
%include "ring0.inc"

; The translation is in use when its rights change.
%macro touch_page 0
        mov al, [abs W]
        mov [abs W], al
%endmacro
%define smap_bit f_cpuid7b, 1 << 20
%define smep_bit f_cpuid7b, 1 << 7
%define pku_bit f_cpuid7c, 1 << 3
CASE "paging.takes_effect.smap.k64", "SDM3 4.6, 4.10", k64
        NEEDS smap_bit
        BODY
        FAULTS PF_, 1
        WANT r_cr2, W
        touch_page
        mov rax, cr4
        or eax, 1 << 21
        mov cr4, rax
        AT
        mov al, [abs W]
        END
CASE "paging.takes_effect.smep.k64", "SDM3 4.6, 4.10", k64
        NEEDS smep_bit
        BODY
        FAULTS PF_, 0x11
        WANT r_ip, W
        mov ebx, W
        call rbx                        ; RET
        mov rax, cr4
        or eax, 1 << 20
        mov cr4, rax
        call rbx
        END
CASE "paging.takes_effect.nx.k64", "SDM3 4.6, 4.10.4", k64
        BODY
        FAULTS PF_, 0x11
        WANT r_ip, W
        mov ebx, W
        call rbx
        or byte [abs kW_pte + 7], 0x80
        invlpg [rbx]
        call rbx
        END
%macro KEYED 4                  ; name, mode, PKRU, error code
        %defstr %%mode %2
        CASE {"paging.takes_effect.", %1, ".", %%mode}, "SDM3 4.6.2; SDM2 WRPKRU", %2
        NEEDS pku_bit
        or dword [v_cr4], 1 << 22
        or byte [kW_pte + 7], 1 << 3            ; key 1
        BODY
        FAULTS PF_, %4
        WANT r_cr2, W
        touch_page
        xor ecx, ecx
        xor edx, edx
        mov eax, %3
        wrpkru
%if (%4) & 2
        mov bl, [abs W]
        AT
        mov [abs W], bl
%else
        AT
        mov bl, [abs W]
%endif
        END
%endmacro
KEYED "wrpkru_ad", u64, 4, 0x25
KEYED "wrpkru_wd", u64, 8, 0x27
KEYED "wrpkru_ad", k64, 4, 0x21
CASE "paging.takes_effect.wrpkru_back.u64", "SDM3 4.6.2; SDM2 WRPKRU", u64
        NEEDS pku_bit
        or dword [v_cr4], 1 << 22
        or byte [kW_pte + 7], 1 << 3
        mov dword [v_pkru], 4
        mov dword [v_goes_on], 1 << PF_
        mov dword [v_fixup], %$there
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT kLog, PF_
        WANT kLog + 8, 0x25
        mov al, [abs W]
%$there:
        xor ecx, ecx
        xor edx, edx
        xor eax, eax
        wrpkru
        mov al, [abs W]
        END

CASE "paging.takes_effect.xrstor_pkru.u64", "SDM1 13.8; SDM3 4.6.2", u64
        NEEDS pku_bit
        NEEDS f_xcr0, 1 << 9
        or dword [v_cr4], 1 << 22 | 1 << 18
        mov dword [v_xcr0], 0x203
        or byte [kW_pte + 7], 1 << 3
        BODY
        FAULTS PF_, 0x25
        WANT r_cr2, W
        mov al, [abs W]
        mov eax, 13
        mov ecx, 9
        cpuid
        mov dword [rbx + kResults], 4           ; PKRU: no access by key 1
        mov dword [abs kResults + 512], 0x200
        mov eax, 0x200
        xor edx, edx
        xrstor [abs kResults]
        mov ecx, W
        AT
        mov al, [rcx]
        END
CASE "paging.takes_effect.xrstor_initial_pkru.u64", "SDM1 13.8; SDM3 4.6.2", u64
        NEEDS pku_bit
        NEEDS f_xcr0, 1 << 9
        or dword [v_cr4], 1 << 22 | 1 << 18
        mov dword [v_xcr0], 0x203
        mov dword [v_pkru], 0xc
        or byte [kW_pte + 7], 1 << 3
        BODY
        FAULTS NONE
        mov eax, 0x200
        xor edx, edx
        xrstor [abs kResults]                   ; XSTATE_BV is 0
        mov [abs W], al
        END

; PCIDs: what must not be used any more, and what another PCID has never seen (SDM3 4.10.4.1).
%macro PCID 2                   ; name, {from PCID 1 back to PCID 1}
        CASE {"paging.pcid.", %1, ".k64"}, "SDM3 4.10.1, 4.10.4.1; SDM2 INVPCID", k64
        NEEDS f_cpuid1c, 1 << 17
        NEEDS f_cpuid7b, 1 << 10
        mov dword [kTarget], 0x11111111
        mov dword [kTarget + 0x1000], 0x22222222
        BODY
        FAULTS NONE
        WANT r_rsi, 0x11111111
        WANT r_rdi, 0x22222222
        mov rax, cr4
        bts eax, 17
        mov cr4, rax
        mov eax, kPml4 | 1
        mov cr3, rax
        mov esi, [abs W]
        add dword [abs kW_pte], 0x1000
        %2
        mov edi, [abs W]
        mov eax, kPml4
        mov cr3, rax
        mov rax, cr4
        btr eax, 17
        mov cr4, rax
        END
%endmacro
%macro to_pcid 2                ; number, 1: without a flush
        mov eax, kPml4 | (%1)
%if %2
        bts rax, 63
%endif
        mov cr3, rax
%endmacro
%macro invalidate 2             ; INVPCID type, PCID
        mov qword [abs kResults], %2
        mov qword [abs kResults + 8], W
        mov eax, %1
        invpcid rax, [abs kResults]
%endmacro
%macro pcid_address 0
        to_pcid 2, 1
        invalidate 0, 1
        to_pcid 1, 1
%endmacro
%macro pcid_single 0
        to_pcid 2, 1
        invalidate 1, 1
        to_pcid 1, 1
%endmacro
%macro pcid_all 1
        to_pcid 2, 1
        invalidate %1, 0
        to_pcid 1, 1
%endmacro
%macro pcid_other 0
        to_pcid 2, 0
%endmacro
%macro pcid_flush 0
        to_pcid 2, 1
        to_pcid 1, 0
%endmacro
%macro pcid_invlpg 0
        to_pcid 2, 1
        to_pcid 1, 1
        invlpg [abs W + 0x123]
%endmacro
%macro pcid_off 0
        to_pcid 0, 1
        mov rax, cr4
        btr eax, 17                             ; flushes everything
        mov cr4, rax
        bts eax, 17
        mov cr4, rax
        to_pcid 1, 1
%endmacro
PCID "invpcid_address", pcid_address
PCID "invpcid_single", pcid_single
PCID "invpcid_all_global", {pcid_all 2}
PCID "invpcid_all", {pcid_all 3}
PCID "other", pcid_other
PCID "mov_cr3_flushes", pcid_flush
PCID "invlpg", pcid_invlpg
PCID "pcide_off", pcid_off

; TSC and TSC_ADJUST move together (SDM3 17.17.3).
%macro TSC 2
        CASE {"msr.tsc_adjust.", %1, ".k64"}, "SDM3 17.17.3", k64
        NEEDS f_cpuid7b, 1 << 1
        BODY
        FAULTS NONE
        WANT r_rbx, 0x100
        %2
        mov ecx, 0x3b                           ; back to what it was
        xor eax, eax
        xor edx, edx
        wrmsr
        END
%endmacro
%macro tsc_written 0
        mov ecx, 0x3b
        xor eax, eax
        xor edx, edx
        wrmsr
        rdtsc
        add edx, 0x100
        mov ecx, 0x10
        wrmsr
        mov ecx, 0x3b
        rdmsr
        mov ebx, edx
        cmp eax, 0x80000000                     ; time went on in between, so it is a little less
        jb %%whole
        inc ebx
%%whole:
%endmacro
%macro adjust_written 0
        rdtsc
        mov esi, edx
        mov ecx, 0x3b
        xor eax, eax
        mov edx, 0x100
        wrmsr
        rdtsc
        sub edx, esi
        mov ebx, edx
        and ebx, ~1                             ; a carry from the lower half may come in between
%endmacro
TSC "follows_tsc", tsc_written
TSC "moves_tsc", adjust_written

; INVLPG of any address in a large page drops all of it; so does MOV CR3.
%macro LARGE 6                  ; name, mode, entry, dword or abs, entry bits, instruction
        %defstr %%mode %2
        CASE {"paging.invalidate.large_", %1, ".", %%mode}, "SDM3 4.10.4.1", %2
        mov dword [%3], kTarget | %5
        mov dword [kTarget + 0x123010], 0x11111111
        mov dword [kTarget + 0x323010], 0x22222222
        mov dword [kTarget + 0x01000], 0x33333333
        BODY
        FAULTS NONE
        WANT r_rax, 0x11111111
        WANT r_rbx, 0x22222222
        mov eax, [%4 W + 0x123010]
        mov ecx, [%4 W + 0x01000]
        mov ecx, [%4 W + 0x0fff0]
        add dword [%4 %3], 0x200000     ; the next 2 MiB
        %6
        mov ebx, [%4 W + 0x123010]
        END
%endmacro
%macro invlpg_64 0
        invlpg [abs W + 0x0fff0]
%endmacro
%macro invlpg_32 0
        invlpg [W + 0x0fff0]
%endmacro
%macro cr3_64 0
        mov rdx, cr3
        mov cr3, rdx
%endmacro
%macro cr3_32 0
        mov edx, cr3
        mov cr3, edx
%endmacro
LARGE "invlpg", k64, kW_pde, abs, P | RW | US | PS, invlpg_64
LARGE "cr3", k64, kW_pde, abs, P | RW | US | PS, cr3_64
LARGE "invlpg_global", a32, kW_pde, dword, P | RW | PS | G, invlpg_32
LARGE "invlpg", a32, kW_pde, dword, P | RW | PS, invlpg_32
; The accessed bit of a descriptor in a read-only page: a write of the supervisor (SDM3 4.6.1, 3.4.5.1).
%macro ACCESSED 4               ; name, access byte, CR0 bits, vector
        CASE {"segment.accessed.", %1, ".g32"}, "SDM3 3.4.5.1, 4.6.1", g32
        DESC kLdt, W, 0xff, 0x82, 0
        mov dword [kTarget + 0x18], 0x0000ffff
        mov dword [kTarget + 0x1c], 0x00cf0000 | (%2) << 8
        and dword [kW_pte32], ~RW
        or dword [v_cr0], %3
        BODY
        FAULTS %4
%if %4 == PF_
        WANT r_error, 3
        WANT r_cr2, W + 0x18, ~7
        WANT kTarget + 0x1c, 0x00cf0000 | (%2) << 8
%else
        WANT kTarget + 0x1c, 0x00cf0100 | (%2) << 8
%endif
        mov ax, 0x1c
%if %4 != NONE
        AT
%endif
        mov ds, ax
        END
%endmacro
ACCESSED "read_only_wp", 0x92, 0x10000, PF_
ACCESSED "read_only_wp_set", 0x93, 0x10000, NONE
ACCESSED "read_only", 0x92, 0, NONE
image_done
