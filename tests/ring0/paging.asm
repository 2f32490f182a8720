; Paging: the matrix of rights with error codes in all paging modes and page sizes, rights of the upper
; levels, SMEP, SMAP, protection keys.
%include "ring0.inc"
%include "paging.inc"

; SDM3 4.6 and 4.7: sets fault, code from us, rw, nx, access, user, wp, smep, smap, ac, pke, ad, wd, nxe
%macro judge 0
%assign fault 0
%assign key 0
%if user
%if !us || (access == kWrite && !rw) || (access == kFetch && nx)
%assign fault 1
%endif
%else
%if access == kFetch && (nx || (us && smep))
%assign fault 1
%elif access == kWrite && !rw && wp
%assign fault 1
%endif
%if access != kFetch && us && smap && !ac
%assign fault 1
%endif
%endif
%if pke && us && access != kFetch
%if ad || (access == kWrite && wd && (user || wp))
%assign fault 1
%assign key 1
%endif
%endif
%assign code 1 | (access == kWrite) << 1 | user << 2 | (access == kFetch && (nxe || smep)) << 4 | key << 5
%endmacro
%macro plain 0
%assign us 1
%assign rw 1
%assign nx 0
%assign user 0
%assign wp 1
%assign smep 0
%assign smap 0
%assign ac 0
%assign pke 0
%assign ad 0
%assign wd 0
%assign nxe 1
%assign access kRead
%endmacro
%macro expected 0
%if fault
        FAULTS PF_, code
        WANT r_cr2, W
%if access == kFetch
        WANT r_ip, W
%endif
%else
        FAULTS NONE
%endif
%endmacro
; One cell: name of the size, mode, address of the leaf, its fixed part, high doubleword or 0, section
%macro CELL 5
        access_name
        judge
        %defstr %%us us
        %defstr %%rw rw
        %defstr %%nx nx
        %defstr %%wp wp
        CASE {"paging.", %1, ".us", %%us, ".rw", %%rw, ".nx", %%nx, ".wp", %%wp, ".", what, ".", who}, "SDM3 4.6, 4.7", %2
%ifidn %1,"1g"
        NEEDS f_cpuid81d, 1 << 26
%endif
        mov dword [%3], (%4) | P | us << 2 | rw << 1
%if %5
        mov dword [%3 + 4], nx << 31
%endif
%if wp
        or dword [v_cr0], 0x10000
%endif
        BODY
        expected
%if fault == 0 || access == kFetch
        plain_touch access
%else
        touch access
%endif
        END
%endmacro
%macro plain_touch 1
%if %1 == kRead
        mov al, [dword W]
%elif %1 == kWrite
        mov [dword W], al
%else
        touch kFetch
%endif
%endmacro
; MATRIX size, supervisor mode, user mode, leaf, fixed part, 64-bit entries, both values of WP
%macro MATRIX 7
        plain
%assign nxe %6
%assign access 0
%rep 3
%assign us 0
%rep 2
%assign rw 0
%rep 2
%assign nx 0
%rep 1 + %6
%assign wp 1 - %7
%rep 1 + %7
%assign user 0
        CELL %1, %2, %4, %5, %6
%assign user 1
        CELL %1, %3, %4, %5, %6
%assign wp wp + 1
%endrep
%assign nx nx + 1
%endrep
%assign rw rw + 1
%endrep
%assign us us + 1
%endrep
%assign access access + 1
%endrep
%endmacro
MATRIX "4k", k64, u64, kW_pte, kTarget, 1, 1
MATRIX "2m", k64, u64, kW_pde, kTarget | PS, 1, 0
MATRIX "1g", k64, u64, kW_pdpte, PS, 1, 0
MATRIX "pae.4k", a32, b32, kW_pte, kTarget, 1, 0
MATRIX "pae.2m", a32, b32, kW_pde, kTarget | PS, 1, 0
MATRIX "legacy.4k", g32, h32, kW_pte32, kTarget, 0, 1
MATRIX "legacy.4m", g32, h32, kW_pde32, kTarget | PS, 0, 0

; One bit taken away on an upper level. LEVEL name, entry, in PAE and 32-bit too
%macro UPPER 7                  ; name, mode, entry, low, high, access, code
%assign access %6
%if (%7) & 4
%assign user 1
%else
%assign user 0
%endif
        access_name
        CASE {"paging.upper.", %1, ".", what, ".", who}, "SDM3 4.6, 4.7", %2
        and dword [%3], ~(%4)
%if %5
        or dword [%3 + 4], %5
%endif
        or dword [v_cr0], 0x10000
        BODY
%if %7 == 0xff
        FAULTS NONE
        plain_touch %6
%else
        FAULTS PF_, %7
        WANT r_cr2, W
        touch %6
%endif
        END
%endmacro
%macro upper_level 3            ; name, entry, 64-bit modes
        UPPER {%1, ".not_present"}, k64, %2, P, 0, kRead, 0
        UPPER {%1, ".not_present"}, u64, %2, P, 0, kWrite, 6
        UPPER {%1, ".not_present"}, k64, %2, P, 0, kFetch, 0x10
        UPPER {%1, ".read_only"}, k64, %2, RW, 0, kWrite, 3
        UPPER {%1, ".read_only"}, u64, %2, RW, 0, kWrite, 7
        UPPER {%1, ".supervisor"}, u64, %2, US, 0, kRead, 5
        UPPER {%1, ".supervisor"}, u64, %2, US, 0, kWrite, 7
        UPPER {%1, ".supervisor"}, u64, %2, US, 0, kFetch, 0x15
        UPPER {%1, ".no_execute"}, k64, %2, 0, 0x80000000, kFetch, 0x11
        UPPER {%1, ".no_execute"}, u64, %2, 0, 0x80000000, kFetch, 0x15
%endmacro
upper_level "pdpte", kW_pdpte, 1
upper_level "pde", kW_pde, 1
UPPER "pae.pdpte.not_present", a32, kW_pdpte_pae, P, 0, kRead, 0
UPPER "pae.pdpte.not_present", b32, kW_pdpte_pae, P, 0, kWrite, 6
UPPER "pae.pde.not_present", b32, kW_pde, P, 0, kFetch, 0x14
UPPER "pae.pde.read_only", b32, kW_pde, RW, 0, kWrite, 7
UPPER "pae.pde.supervisor", b32, kW_pde, US, 0, kRead, 5
UPPER "pae.pde.no_execute", a32, kW_pde, 0, 0x80000000, kFetch, 0x11
UPPER "legacy.pde.not_present", h32, kW_pde32, P, 0, kRead, 4
UPPER "legacy.pde.not_present", h32, kW_pde32, P, 0, kFetch, 4
UPPER "legacy.pde.read_only", g32, kW_pde32, RW, 0, kWrite, 3
UPPER "legacy.pde.read_only", h32, kW_pde32, RW, 0, kWrite, 7
UPPER "legacy.pde.supervisor", h32, kW_pde32, US, 0, kRead, 5

; SMEP, SMAP and protection keys over the leaf.
%macro CONTROL 4                ; name, supervisor or user mode, needs field, needs bits
        access_name
        judge
        %defstr %%us us
        %defstr %%rw rw
        %defstr %%nx nx
        %defstr %%wp wp
        %defstr %%ac ac
        %defstr %%ad ad
        %defstr %%wd wd
        CASE {"paging.", %1, ".us", %%us, ".rw", %%rw, ".nx", %%nx, ".wp", %%wp, ".ac", %%ac, ".ad", %%ad, ".wd", %%wd, ".", what, ".", who}, "SDM3 4.6, 4.7", %2
        NEEDS %3, %4
        mov dword [kW_pte], kTarget | P | us << 2 | rw << 1
        mov dword [kW_pte + 4], nx << 31 | pke << 27    ; key 1
%if wp
        or dword [v_cr0], 0x10000
%endif
        or dword [v_cr4], smep << 20 | smap << 21 | pke << 22
        mov dword [v_pkru], ad << 2 | wd << 3
        or dword [v_flags], ac << 18
        BODY
        expected
%if fault == 0
        plain_touch access
%else
        touch access
%endif
        END
%endmacro
plain
%assign smep 1
%assign us 0
%rep 2
%assign nx 0
%rep 2
%assign access kRead
        CONTROL "smep", k64, f_cpuid7b, 1 << 7
%assign access kFetch
        CONTROL "smep", k64, f_cpuid7b, 1 << 7
%assign user 1
        CONTROL "smep", u64, f_cpuid7b, 1 << 7
%assign user 0
%assign nx nx + 1
%endrep
%assign us us + 1
%endrep
plain
%assign smap 1
%assign us 0
%rep 2
%assign rw 0
%rep 2
%assign ac 0
%rep 2
%assign access 0
%rep 3
        CONTROL "smap", k64, f_cpuid7b, 1 << 20
%assign access access + 1
%endrep
%assign ac ac + 1
%endrep
%assign user 1
%assign ac 0
%assign access kRead
        CONTROL "smap", u64, f_cpuid7b, 1 << 20
%assign access kWrite
        CONTROL "smap", u64, f_cpuid7b, 1 << 20
%assign user 0
%assign rw rw + 1
%endrep
%assign us us + 1
%endrep
plain
%assign pke 1
%assign us 0
%rep 2
%assign ad 0
%rep 2
%assign wd 0
%rep 2
%assign wp 0
%rep 2
%assign access 0
%rep 2
%assign user 0
        CONTROL "pku", k64, f_cpuid7c, 1 << 3
%assign user 1
        CONTROL "pku", u64, f_cpuid7c, 1 << 3
%assign access access + 1
%endrep
%assign wp wp + 1
%endrep
%assign wd wd + 1
%endrep
%assign ad ad + 1
%endrep
%assign us us + 1
%endrep
plain
%assign pke 1
%assign ad 1
%assign wd 1
%assign access kFetch
%assign user 1
CONTROL "pku", u64, f_cpuid7c, 1 << 3
%assign rw 0
%assign access kWrite
CONTROL "pku", u64, f_cpuid7c, 1 << 3

; SMAP and the implicit supervisor accesses: AC does not lift it (SDM3 4.6.1).
CASE "paging.smap.implicit.ldt.k64", "SDM3 4.6.1", k64
        NEEDS f_cpuid7b, 1 << 20
        or dword [v_cr4], 1 << 21
        or dword [v_flags], 1 << 18
        DESC kLdt, W, 0xff, 0x82, 0
        BODY
        FAULTS PF_, 1
        WANT r_cr2, W + 0x18
        mov ax, 0x1c
        AT
        mov ds, ax
        END
CASE "paging.smap.implicit.ldt.u64", "SDM3 4.6.1", u64
        NEEDS f_cpuid7b, 1 << 20
        or dword [v_cr4], 1 << 21
        or dword [v_flags], 1 << 18
        DESC kLdt, W, 0xff, 0x82, 0
        BODY
        FAULTS PF_, 1
        WANT r_cr2, W + 0x18
        mov ax, 0x1f
        AT
        mov ds, ax
        END
CASE "paging.smap.explicit.user_stack.k64", "SDM3 4.6.1", k64
        NEEDS f_cpuid7b, 1 << 20
        or dword [v_cr4], 1 << 21
        mov dword [v_ist], 1
        BODY
        FAULTS PF_, 3
        WANT r_cr2, W + 0xff8
        mov esp, W + 0x1000
        AT
        push rax
        END
%macro smap_on 0
        NEEDS f_cpuid7b, 1 << 20
        or dword [v_cr4], 1 << 21
%endmacro
CASE "paging.smap.stac_clac.k64", "SDM2 STAC, CLAC", k64
        smap_on
        BODY
        FAULTS PF_, 1
        stac
        mov al, [abs W]
        clac
        AT
        mov al, [abs W]
        END
ONEP "paging.smap.stac.u64", "SDM2 STAC", u64, UD_, 0, {smap_on}, {db 0x0f, 0x01, 0xcb}
ONEP "paging.smap.clac.q32", "SDM2 CLAC", q32, UD_, 0, {smap_on}, {db 0x0f, 0x01, 0xca}
image_done
