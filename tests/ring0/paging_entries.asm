; Paging: accessed and dirty bits, reserved and ignored bits, PDPTEs of PAE, invalidation, PCIDs.
%include "ring0.inc"
%include "paging.inc"

; Accessed and dirty: entries after an access. BITS name, mode, entry, want, mask, {preparation}, insn
%macro AD 7+
        %defstr %%mode %2
        CASE {"paging.ad.", %1, ".", %%mode}, "SDM3 4.8", %2
        %6
        BODY
        FAULTS NONE
        WANT %3, %4, %5
        %7
        END
%endmacro
%macro ad_modes 3               ; supervisor and user mode, leaf
        AD "read_leaf", %1, %3, A, A | D, {}, {mov al, [dword W]}
        AD "write_leaf", %1, %3, A | D, A | D, {}, {mov [dword W], al}
        AD "read_leaf", %2, %3, A, A | D, {}, {mov al, [dword W]}
        AD "write_leaf", %2, %3, A | D, A | D, {}, {mov [dword W], al}
        AD "fetch_leaf", %1, %3, A, A | D, {}, fetch_window
        AD "fetch_leaf", %2, %3, A, A | D, {}, fetch_window
        AD "neighbour", %1, %3 + 4 * (1 + (%3 != kW_pte32)), 0, A | D, {}, {mov [dword W], al}
        AD "cmpxchg_equal_not", %1, %3, A | D, A | D, {}, {lock cmpxchg [dword W], eax}
        AD "rmw_adds_zero", %2, %3, A | D, A | D, {}, {add dword [dword W], 0}
        AD "read_then_write", %1, %3, A | D, A | D, {}, read_write
        AD "rep_stos_zero_count", %1, %3, 0, A | D, {}, stos_nothing
        AD "invlpg", %1, %3, 0, A | D, {}, {invlpg [dword W]}
        AD "prefetch_lea", %2, %3, 0, A | D, {}, {lea eax, [dword W]}
        AD "nop_operand", %2, %3, 0, A | D, {}, {nop dword [dword W]}
%endmacro
%macro fetch_window 0
        mov eax, W
%if %$bits == 64
        call rax
%else
        call eax
%endif
%endmacro
%macro read_write 0
        mov al, [dword W]
        mov [dword W], al
%endmacro
%macro stos_nothing 0
        mov edi, W
        xor ecx, ecx
        rep stosb
%endmacro
ad_modes k64, u64, kW_pte
ad_modes a32, b32, kW_pte
ad_modes g32, h32, kW_pte32
AD "pde", k64, kW_pde, A, A | D, {}, {mov [abs W], al}
AD "pdpte", k64, kW_pdpte, A, A | D, {}, {mov [abs W], al}
%macro write_w64 0
        mov rbx, W64
        mov [rbx], al
%endmacro
AD "pml4e", k64, kW64_pml4e, A, A | D, {}, write_w64
AD "pdpte_w64", k64, kW64_pdpte, A, A | D, {}, write_w64
AD "pde", g32, kW_pde32, A, A | D, {}, {mov [W], al}
AD "pae_pdpte_untouched", a32, kW_pdpte_pae, 0, A | D, {}, {mov [W], al}
AD "2m_read", k64, kW_pde, A, A | D, {mov dword [kW_pde], kTarget | PS | 7}, {mov al, [abs W]}
AD "2m_write", k64, kW_pde, A | D, A | D, {mov dword [kW_pde], kTarget | PS | 7}, {mov [abs W], al}
AD "2m_write", b32, kW_pde, A | D, A | D, {mov dword [kW_pde], kTarget | PS | 7}, {mov [W], al}
AD "4m_read", g32, kW_pde32, A, A | D, {mov dword [kW_pde32], kTarget | PS | 7}, {mov al, [W]}
AD "4m_write", h32, kW_pde32, A | D, A | D, {mov dword [kW_pde32], kTarget | PS | 7}, {mov [W], al}
%macro need_1g 0
        NEEDS f_cpuid81d, 1 << 26
        mov dword [kW_pdpte], PS | 7
%endmacro
AD "1g_write", k64, kW_pdpte, A | D, A | D, {need_1g}, {mov [abs W], al}
; The page written first keeps D clear when the access ends in a fault on the second.
CASE "paging.ad.fault_no_dirty.k64", "SDM3 4.8", k64
        mov dword [kW_pte], kTarget | P | US
        or dword [v_cr0], 0x10000
        BODY
        FAULTS PF_, 3
        WANT kW_pte, 0, D
        AT
        mov [abs W], al
        END
CASE "paging.ad.set_again_after_clear.k64", "SDM3 4.8, 4.10.4", k64
        BODY
        FAULTS NONE
        WANT kW_pte, A | D, A | D
        mov [abs W], al
        and dword [abs kW_pte], ~(A | D)
        invlpg [abs W]
        mov [abs W], al
        END
CASE "paging.ad.dirty_after_read.u64", "SDM3 4.8", u64
        or dword [kW_pte], A
        BODY
        FAULTS NONE
        WANT kW_pte, A | D, A | D
        mov al, [abs W]
        mov [abs W], al
        END

; Reserved bits. RSVD name, mode, entry, low bits, high bits, access, code
%macro RSVD 7-8 {}
        %defstr %%mode %2
%assign access %6
%assign user ((%7) >> 2) & 1
        access_name
        CASE {"paging.reserved.", %1, ".", what, ".", %%mode}, "SDM3 4.5, 4.7", %2
        %8
        or dword [%3], %4
%if %5
        or dword [%3 + 4], %5
%endif
        BODY
        FAULTS PF_, %7
        WANT r_cr2, W
        touch %6
        END
%endmacro
%macro reserved_of 4            ; name, entry, preparation bits low, high
        RSVD %1, k64, %2, %3, %4, kRead, 9
        RSVD %1, k64, %2, %3, %4, kWrite, 11
        RSVD %1, u64, %2, %3, %4, kRead, 13
        RSVD %1, u64, %2, %3, %4, kFetch, 0x1d
%endmacro
reserved_of "pte.bit51", kW_pte, 0, 1 << 19
reserved_of "pde.bit51", kW_pde, 0, 1 << 19
reserved_of "pdpte.bit51", kW_pdpte, 0, 1 << 19
reserved_of "pde_2m.bit13", kW_pde, PS | 0x2000, 0
reserved_of "pde_2m.bit20", kW_pde, PS | 0x100000, 0
RSVD "pdpte_1g.bit13", k64, kW_pdpte, PS | 0x2000, 0, kRead, 9, {NEEDS f_cpuid81d, 1 << 26}
RSVD "pdpte_1g.bit29", k64, kW_pdpte, PS | 0x20000000, 0, kWrite, 11, {NEEDS f_cpuid81d, 1 << 26}
RSVD "pte.nx_without_nxe", k64, kW_pte, 0, 0x80000000, kRead, 9, {and dword [v_efer], ~0x800}
RSVD "pte.nx_without_nxe", u64, kW_pte, 0, 0x80000000, kWrite, 15, {and dword [v_efer], ~0x800}
RSVD "pte.nx_without_nxe", u64, kW_pte, 0, 0x80000000, kFetch, 13, {and dword [v_efer], ~0x800}
RSVD "pde.nx_without_nxe", k64, kW_pde, 0, 0x80000000, kRead, 9, {and dword [v_efer], ~0x800}
RSVD "pdpte.nx_without_nxe", k64, kW_pdpte, 0, 0x80000000, kRead, 9, {and dword [v_efer], ~0x800}
RSVD "pae.pte.bit51", a32, kW_pte, 0, 1 << 19, kRead, 9
RSVD "pae.pte.bit52", a32, kW_pte, 0, 1 << 20, kRead, 9
RSVD "pae.pte.bit62", b32, kW_pte, 0, 1 << 30, kWrite, 15
RSVD "pae.pde.bit52", a32, kW_pde, 0, 1 << 20, kRead, 9
RSVD "pae.pde.bit62", b32, kW_pde, 0, 1 << 30, kFetch, 0x1d
RSVD "pae.pde_2m.bit13", a32, kW_pde, PS | 0x2000, 0, kRead, 9
RSVD "pae.pte.nx_without_nxe", a32, kW_pte, 0, 0x80000000, kRead, 9, {and dword [v_efer], ~0x800}
RSVD "legacy.pde_4m.bit21", g32, kW_pde32, PS | 0x200000, 0, kRead, 9
RSVD "legacy.pde_4m.bit21", h32, kW_pde32, PS | 0x200000, 0, kWrite, 15
CASE "paging.reserved.pml4e.ps.k64", "SDM3 4.5, table 4-15", k64
        or dword [kW64_pml4e], PS
        BODY
        FAULTS PF_, 9
        mov rbx, W64
        AT
        mov al, [rbx]
        END
CASE "paging.reserved.pml4e.bit51.k64", "SDM3 4.5", k64
        or dword [kW64_pml4e + 4], 1 << 19
        BODY
        FAULTS PF_, 11
        mov rbx, W64
        AT
        mov [rbx], al
        END
; Bits the processor ignores.
%macro IGNORED 5
        %defstr %%mode %2
        CASE {"paging.ignored.", %1, ".", %%mode}, "SDM3 4.5, 4.3", %2
        or dword [%3], %4
%if %5
        or dword [%3 + 4], %5
%endif
        BODY
        FAULTS NONE
        mov [dword W], al
        END
%endmacro
IGNORED "pte.bits11_9", k64, kW_pte, 0xe00, 0
IGNORED "pte.bits58_52", k64, kW_pte, 0, 0x7f00000
IGNORED "pde.bit6", k64, kW_pde, D, 0
IGNORED "pde.bit8", k64, kW_pde, G, 0
IGNORED "pdpte.bits58_52", k64, kW_pdpte, 0, 0x7f00000
IGNORED "pte.key_without_pke", u64, kW_pte, 0, 0x78000000
IGNORED "pte.pat", u64, kW_pte, 0x80, 0
IGNORED "pte.bits11_9", g32, kW_pte32, 0xe00, 0
IGNORED "pde.bits11_8", h32, kW_pde32, 0xf00, 0
CASE "paging.ignored.ps_without_pse.g32", "SDM3 4.3", g32
        and dword [v_cr4], ~0x10
        mov dword [kPd32 + 4], kPt32 | 7
        or dword [kW_pde32], PS
        BODY
        FAULTS NONE
        WANT kW_pte32, A | D, A | D
        mov [W], al
        END

; PDPTEs of PAE paging are checked and loaded with CR3.
%macro PDPTE 5
        CASE {"paging.pae.pdpte.", %1}, "SDM3 4.4.1", a32
        BODY
        FAULTS %4, 0
        or dword [kW_pdpte_pae], %2
        or dword [kW_pdpte_pae + 4], %3
        mov eax, cr3
%if %4 != NONE
        AT
%endif
        mov cr3, eax
        END
%endmacro
PDPTE "bit1", 2, 0, GP_, 0
PDPTE "bit2", 4, 0, GP_, 0
PDPTE "bit5", 0x20, 0, GP_, 0
PDPTE "bit6", 0x40, 0, GP_, 0
PDPTE "bit7", 0x80, 0, GP_, 0
PDPTE "bit8", 0x100, 0, GP_, 0
PDPTE "bit51", 0, 1 << 19, GP_, 0
PDPTE "bit63", 0, 1 << 31, GP_, 0
PDPTE "bits4_3", 0x18, 0, NONE, 0
PDPTE "bits11_9", 0xe00, 0, NONE, 0
CASE "paging.pae.pdpte.reserved_not_present", "SDM3 4.4.1", a32
        BODY
        FAULTS NONE
        mov dword [kW_pdpte_pae], 0x1e6
        mov eax, cr3
        mov cr3, eax
        END
CASE "paging.pae.pdpte.cached_until_cr3", "SDM3 4.4.1", a32
        BODY
        FAULTS NONE
        mov dword [kW_pdpte_pae], 0
        invlpg [W]
        mov al, [W]             ; still the register's value
        END
CASE "paging.pae.pdpte.reloaded_with_cr3", "SDM3 4.4.1", a32
        BODY
        FAULTS PF_, 0
        mov dword [kW_pdpte_pae], 0
        mov eax, cr3
        mov cr3, eax
        AT
        mov al, [W]
        END

; Invalidation: the new entry is seen.
%macro INVALIDATE 5+            ; name, mode, section, address, instructions
        %defstr %%mode %2
        CASE {"paging.invalidate.", %1, ".", %%mode}, %3, %2
        BODY
        FAULTS PF_, 0
        WANT r_cr2, W
        mov al, [dword W]
        mov dword [%4], 0
        %5
        AT
        mov al, [dword W]
        END
%endmacro
%macro reload_cr3 0
%if %$bits == 64
        mov rax, cr3
        mov cr3, rax
%else
        mov eax, cr3
        mov cr3, eax
%endif
%endmacro
%macro toggle_pge 0
%if %$bits == 64
        mov rax, cr4
        xor eax, 0x80
        mov cr4, rax
        xor eax, 0x80
        mov cr4, rax
%else
        mov eax, cr4
        xor eax, 0x80
        mov cr4, eax
        xor eax, 0x80
        mov cr4, eax
%endif
%endmacro
INVALIDATE "invlpg", k64, "SDM3 4.10.4.1", kW_pte, {invlpg [abs W]}
INVALIDATE "invlpg_other_byte", k64, "SDM3 4.10.4.1", kW_pte, {invlpg [abs W + 0xfff]}
INVALIDATE "invlpg", g32, "SDM3 4.10.4.1", kW_pte32, {invlpg [W]}
INVALIDATE "invlpg", a32, "SDM3 4.10.4.1", kW_pte, {invlpg [W]}
INVALIDATE "cr3", k64, "SDM3 4.10.4.1", kW_pte, reload_cr3
INVALIDATE "cr3", a32, "SDM3 4.10.4.1", kW_pte, reload_cr3
INVALIDATE "cr3", g32, "SDM3 4.10.4.1", kW_pte32, reload_cr3
INVALIDATE "pge", k64, "SDM3 4.10.4.1", kW_pte, toggle_pge
INVALIDATE "pge", g32, "SDM3 4.10.4.1", kW_pte32, toggle_pge
INVALIDATE "pde_invlpg", k64, "SDM3 4.10.4.1", kW_pde, {invlpg [abs W]}
INVALIDATE "pdpte_invlpg", k64, "SDM3 4.10.4.1", kW_pdpte, {invlpg [abs W]}
CASE "paging.invalidate.rights_less.k64", "SDM3 4.10.4.2", k64
        or dword [v_cr0], 0x10000
        BODY
        FAULTS PF_, 3
        mov [abs W], al
        and dword [abs kW_pte], ~RW
        invlpg [abs W]
        AT
        mov [abs W], al
        END
CASE "paging.invalidate.rights_more_after_fault.k64", "SDM3 4.10.4.2", k64
        mov dword [kW_pte], 0
        mov dword [v_goes_on], 1 << PF_
        mov dword [v_hook], .fix
        BODY
        FAULTS NONE
        WANT r_count, 2
        mov al, [abs W]                 ; the handler maps the page, no INVLPG is needed
        jmp %$done
        section .text
        bits 64
.fix:   mov dword [abs kW_pte], kTarget | 7
        ret
        section .text
        END
CASE "paging.invalidate.remap.k64", "SDM3 4.10.4.1", k64
        mov dword [kTarget + 0x1000], 0x12345678
        BODY
        FAULTS NONE
        WANT r_rax, 0x12345678
        mov eax, [abs W]
        mov dword [abs kW_pte], (kTarget + 0x1000) | 7
        invlpg [abs W]
        mov eax, [abs W]
        END
CASE "paging.invalidate.remap_code.k64", "SDM3 4.10.4.1, 11.6", k64
        mov dword [kTarget], 0xc3c301b0         ; MOV AL, 1; RET
        mov dword [kTarget + 0x1000], 0xc3c302b0
        BODY
        FAULTS NONE
        WANT r_rax, 2, 0xff
        mov ebx, W
        mov ecx, 200
.again: call rbx
        loop .again
        mov dword [abs kW_pte], (kTarget + 0x1000) | 7
        invlpg [abs W]
        call rbx
        END
CASE "paging.wp.takes_effect.k64", "SDM3 4.6", k64
        and dword [kW_pte], ~RW
        BODY
        FAULTS PF_, 3
        mov [abs W], al
        mov rax, cr0
        or eax, 0x10000
        mov cr0, rax
        AT
        mov [abs W], al
        END
; INVPCID
%macro PCID 5
        CASE {"paging.invpcid.", %1}, "SDM2 INVPCID", k64
        NEEDS f_cpuid7b, 1 << 10
        BODY
        FAULTS %2, 0
        mov eax, %3
        mov qword [abs kResults], %4
        mov rbx, %5
        mov [abs kResults + 8], rbx
%if %2 != NONE
        AT
%endif
        invpcid rax, [abs kResults]
        END
%endmacro
PCID "address", NONE, 0, 0, W
PCID "single", NONE, 1, 0, 0
PCID "all_global", NONE, 2, 0, 0
PCID "all", NONE, 3, 0, 0
PCID "type4", GP_, 4, 0, 0
PCID "reserved_bit12", GP_, 1, 0x1000, 0
PCID "address_not_canonical", GP_, 0, 0, 0x800000000000
PCID "pcid_without_pcide", GP_, 0, 1, W
PCID "single_pcid_without_pcide", GP_, 1, 1, 0
ONEP "paging.invpcid.u64", "SDM2 INVPCID", u64, GP_, 0, {NEEDS f_cpuid7b, 1 << 10}, {invpcid rax, [abs kResults]}
CASE "paging.cr4.pcide_with_pcid_in_cr3", "SDM3 2.5 PCIDE", k64
        NEEDS f_cpuid1c, 1 << 17
        BODY
        FAULTS GP_, 0
        mov eax, kPml4 | 8
        mov cr3, rax
        mov rax, cr4
        bts eax, 17
        AT
        mov cr4, rax
        END
CASE "paging.cr4.pcide_outside_long_mode", "SDM3 2.5 PCIDE", a32
        NEEDS f_cpuid1c, 1 << 17
        BODY
        FAULTS GP_, 0
        mov eax, cr4
        bts eax, 17
        AT
        mov cr4, eax
        END
CASE "paging.cr3.no_flush_bit_without_pcide", "SDM2 MOV to control registers", k64
        BODY
        FAULTS GP_, 0
        mov rax, cr3
        bts rax, 63
        AT
        mov cr3, rax
        END
CASE "paging.cr3.no_flush_bit_with_pcide", "SDM2 MOV to control registers", k64
        NEEDS f_cpuid1c, 1 << 17
        BODY
        FAULTS NONE
        WANT64 r_rbx, kPml4
        mov rax, cr4
        bts eax, 17
        mov cr4, rax
        mov rax, cr3
        bts rax, 63
        mov cr3, rax
        mov rbx, cr3
        END
image_done
