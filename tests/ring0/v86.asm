; Virtual-8086 mode: IOPL-sensitive instructions, I/O permission bitmap, interrupts in and out, VME.
%include "ring0.inc"

VM equ 0x20000
VIF equ 0x80000
VIP equ 0x100000
IF_ equ 0x200

; The redirection bitmap lies below the I/O bitmap; all bits are set at first: no redirection.
%macro redirect 1               ; vector goes to the program's own vector table
        and byte [kIoMap - 32 + (%1) / 8], ~(1 << ((%1) & 7))
%endmacro
%macro flags_vme 1
        or dword [v_cr4], 1
        mov dword [v_flags], %1
%endmacro

%macro sti_cli 0
        sti
        cli
%endmacro
%macro push_popf 1
        push word %1
        popf
%endmacro
%macro popf_2 0
        push dword 2
        popfd
%endmacro
; SENSITIVE name, flags, CR4, vector, instruction
%macro SENSITIVE 5+
        CASE {"v86.sensitive.", %1}, "SDM3 20.2.7, table 20-1", v86
        mov dword [v_flags], VM | 2 | (%2)
        or dword [v_cr4], %3
        BODY
        FAULTS %4, 0
%if %4 != NONE
        AT
%endif
        %5
        END
%endmacro
SENSITIVE "cli.iopl3", 0x3000, 0, NONE, cli
SENSITIVE "sti.iopl3", 0x3000, 0, NONE, sti_cli
SENSITIVE "cli.iopl0", 0, 0, GP_, cli
SENSITIVE "sti.iopl2", 0x2000, 0, GP_, sti
SENSITIVE "pushf.iopl0", 0, 0, GP_, pushf
SENSITIVE "pushfd.iopl0", 0, 0, GP_, pushfd
SENSITIVE "popf.iopl0", 0, 0, GP_, popf
SENSITIVE "popfd.iopl1", 0x1000, 0, GP_, popfd
SENSITIVE "iret.iopl0", 0, 0, GP_, iret
SENSITIVE "iretd.iopl0", 0, 0, GP_, iretd
SENSITIVE "int.iopl0", 0, 0, GP_, int 0x60
SENSITIVE "lock_lidt", 0x3000, 0, GP_, lidt [0x1000]
SENSITIVE "lgdt", 0x3000, 0, GP_, lgdt [0x1000]
SENSITIVE "lmsw", 0x3000, 0, GP_, lmsw ax
SENSITIVE "smsw", 0x3000, 0, NONE, smsw ax
SENSITIVE "sgdt", 0x3000, 0, NONE, sgdt [0x1000]
SENSITIVE "hlt.iopl3", 0x3000, 0, GP_, hlt
SENSITIVE "mov_cr0", 0x3000, 0, GP_, {mov eax, cr0}
SENSITIVE "mov_dr7", 0x3000, 0, GP_, {mov eax, dr7}
SENSITIVE "wrmsr", 0x3000, 0, GP_, wrmsr
SENSITIVE "invlpg", 0x3000, 0, GP_, {invlpg [0x1000]}
SENSITIVE "pushfd_cli.vme_pushfd", 0, 1, GP_, pushfd
SENSITIVE "popfd.vme", 0, 1, GP_, popfd
SENSITIVE "iretd.vme", 0, 1, GP_, iretd

; INT3 and INTO go through the IDT whatever IOPL is.
CASE "v86.int3.iopl0", "SDM3 20.3", v86
        mov dword [v_flags], VM | 2
        BODY
        FAULTS BP_
        WANT r_flags, VM, VM
        int3
        END
CASE "v86.into.iopl0", "SDM3 20.3", v86
        mov dword [v_flags], VM | 2 | 0x800
        BODY
        FAULTS OF_
        into
        END
CASE "v86.int_gate_dpl.iopl3", "SDM3 20.3.1", v86
        BODY
        FAULTS GP_, 0x302
        AT
        int 0x60                        ; gate of DPL 0
        END
CASE "v86.frame", "SDM3 20.3.1.1, figure 20-4", v86
        BODY
        FAULTS UD_
        WANT r_es, 0x1111
        WANT r_ds, 0x2222
        WANT r_fs, 0x3333
        WANT r_gs, 0x4444
        WANT r_hsp, kTssStack - 36
        WANT r_flags, 0x23000, 0x23000
        WANT r_hflags, 0, VM
        mov ax, 0x1111
        mov es, ax
        mov ax, 0x2222
        mov ds, ax
        mov ax, 0x3333
        mov fs, ax
        mov ax, 0x4444
        mov gs, ax
        ud2
        END
CASE "v86.segments_null_in_handler", "SDM3 20.3.1.1", v86
        mov dword [v_hook], .look
        BODY
        FAULTS UD_
        WANT kResults, 0, 0xffff
        mov ax, 0x1234
        mov fs, ax
        ud2
        section .text
.look:  bits 32
        mov [kResults], fs
        ret
        section .text
        END
; Segment registers: base is selector * 16, limit FFFFh, every value loads.
CASE "v86.segment.base", "SDM3 20.2.1", v86
        BODY
        FAULTS NONE
        WANT r_rbx, 0x12345678
        mov dword [kResults + 0x10], 0x12345678
        mov ax, kResults >> 4
        mov gs, ax
        mov ebx, [gs:0x10]
        END
CASE "v86.segment.far_jump", "SDM3 20.2.1", v86
        BODY
        FAULTS NONE
        WANT r_cs, (kBase >> 4) + 2
        jmp ((kBase >> 4) + 2):(%$there - kBase - 32)
%$there:
        END
CASE "v86.segment.ffff_wraps_over_1mb", "SDM3 20.2.1", v86
        mov dword [0x100010], 0x5a5a5a5a
        BODY
        FAULTS NONE
        WANT r_rbx, 0x5a5a5a5a          ; no wrap: A20 is on
        mov ax, 0xffff
        mov es, ax
        mov ebx, [es:0x20]
        END
CASE "v86.iret.keeps_vm_iopl", "SDM2 IRET", v86
        BODY
        FAULTS NONE
        WANT r_flags, 0x23000, 0x3b000 | VM
        push dword 0x0
        push dword (kBase >> 4)
        push dword %$there - kBase
        iretd
%$there:
        END
CASE "v86.popf.keeps_iopl", "SDM2 POPF", v86
        BODY
        FAULTS NONE
        WANT r_flags, 0x23000, 0x23000
        push word 0
        popf
        END
; Into and out of the mode by IRET with VM at CPL 0; the case modes enter that way. A wrong frame:
CASE "v86.enter.eip_beyond_limit", "SDM2 IRET", p32
        BODY
        FAULTS GP_, 0
        push dword 0
        push dword 0
        push dword 0
        push dword 0
        push dword 0x200
        push dword 0x700
        push dword 0x23002
        push dword kBase >> 4
        push dword 0x12345
        AT
        iret
        END
CASE "v86.enter.vm_at_cpl3_ignored", "SDM2 IRET", q32
        BODY
        FAULTS NONE
        WANT r_flags, 0, VM
        push dword 0x20002
        push dword kUCode32
        push dword %$there
        iret
%$there:
        END

; I/O permission bitmap
%macro PORT 6+                  ; kind, mode, flags, vector, {preparation}, instruction
        %defstr %%mode %2
        CASE {"io.", %1, ".", %%mode}, "SDM1 18.5.2", %2
        or dword [v_flags], %3
        %5
        BODY
        FAULTS %4, 0
        mov edx, 0x80
%if %4 != NONE
        AT
%endif
        %6
        END
%endmacro
%macro allow 1
        and byte [kIoMap + (%1) / 8], ~(1 << ((%1) & 7))
%endmacro
%macro ports 1
        PORT "denied_out", %1, 0, GP_, {}, {out 0x80, al}
        PORT "denied_in", %1, 0, GP_, {}, {in al, dx}
        PORT "allowed_out", %1, 0, NONE, {allow 0x80}, {out 0x80, al}
        PORT "allowed_in", %1, 0, NONE, {allow 0x80}, {in al, dx}
        PORT "word_needs_both", %1, 0, GP_, {allow 0x80}, {out dx, ax}
        PORT "word_second_only", %1, 0, GP_, {allow 0x81}, {out dx, ax}
        PORT "word_both", %1, 0, NONE, {allow_range 0x80, 2}, {out dx, ax}
        PORT "dword_three", %1, 0, GP_, {allow_range 0x80, 3}, {out dx, eax}
        PORT "dword_four", %1, 0, NONE, {allow_range 0x80, 4}, {out dx, eax}
        PORT "dword_second_byte", %1, 0, GP_, {allow_range 0x80, 3}, {in eax, dx}
        PORT "bitmap_beyond_limit", %1, 0, GP_, {short_tss}, {out 0x80, al}
        PORT "bitmap_last_byte_beyond", %1, 0, GP_, {tight_tss}, {out 0x80, al}
        PORT "outsb_denied", %1, 0, GP_, {}, outsb
        PORT "insb_denied", %1, 0, GP_, {}, insb
        PORT "rep_outsb_zero_denied", %1, 0, GP_, {}, rep outsb
%endmacro
%macro allow_range 2
%assign port %1
%rep %2
        allow port
%assign port port + 1
%endrep
%endmacro
%macro short_tss 0
        allow 0x80
        mov word [kGdt + kTss], 0x1005
%endmacro
%macro tight_tss 0
        allow 0x80
        mov word [kGdt + kTss], 0x1010          ; two bytes are read, the second is beyond
%endmacro
ports v86
ports q32
PORT "iopl3_out", q32, 0x3000, NONE, {}, {out 0x80, al}
PORT "iopl3_v86_still_checked", v86, 0x3000, GP_, {}, {out 0x80, al}
PORT "iopl2_out", q32, 0x2000, GP_, {}, {out 0x80, al}
PORT "no_bitmap", u64, 0, GP_, {}, {out 0x80, al}
PORT "iopl3_out", u64, 0x3000, NONE, {}, {out 0x80, al}
PORT "iopl3_out", c32, 0x3000, NONE, {}, {out 0x80, al}
PORT "cli_iopl0", q32, 0, GP_, {}, cli
PORT "sti_iopl2", u64, 0x2000, GP_, {}, sti
PORT "cli_iopl3", u64, 0x3000, NONE, {}, cli

; VME: virtual interrupt flag with IOPL < 3
%macro VMEF 6+                  ; kind, flags, wanted flags, mask, vector, instructions; ends with UD2
        CASE {"v86.vme.", %1}, "SDM3 20.3.3, table 20-2", v86
        NEEDS f_cpuid1d, 2
        flags_vme VM | 2 | (%2)
        BODY
        FAULTS %5
        WANT r_flags, %3, %4
        %6
        ud2
        END
%endmacro
VMEF "cli_clears_vif", VIF | IF_, IF_, VIF | IF_, UD_, cli
VMEF "sti_sets_vif", 0, VIF, VIF | IF_, UD_, sti
VMEF "sti_with_vip", VIP, VIP, VIP | VIF, GP_, sti
VMEF "cli_iopl3_is_real", 0x3000 | IF_ | VIF, VIF, VIF | IF_, UD_, cli
VMEF "popf_if_to_vif", 0, VIF, VIF | IF_, UD_, push_popf 0x202
VMEF "popf_clears_vif", VIF | IF_, IF_, VIF | IF_, UD_, push_popf 2
VMEF "popf_if_with_vip", VIP, VIP, VIP | VIF, GP_, push_popf 0x202
VMEF "popf_tf", 0, 0, VIF, GP_, push_popf 0x102
VMEF "popf_keeps_iopl", 0, 0, 0x3000, UD_, push_popf 0x3002
CASE "v86.vme.pushf_vif_as_if", "SDM3 20.3.3", v86
        NEEDS f_cpuid1d, 2
        flags_vme VM | 2 | VIF
        BODY
        FAULTS UD_
        WANT r_rbx, 0x3202, 0xffff      ; IF is VIF, IOPL reads as 3
        pushf
        pop bx
        ud2
        END
CASE "v86.vme.pushf_vif_clear", "SDM3 20.3.3", v86
        NEEDS f_cpuid1d, 2
        flags_vme VM | 2 | IF_
        BODY
        FAULTS UD_
        WANT r_rbx, 0x3002, 0xffff
        pushf
        pop bx
        ud2
        END
CASE "v86.vme.iret_if_to_vif", "SDM3 20.3.3", v86
        NEEDS f_cpuid1d, 2
        flags_vme VM | 2
        BODY
        FAULTS UD_
        WANT r_flags, VIF, VIF | IF_
        push word 0x202
        push word kBase >> 4
        push word %$there - kBase
        iret
%$there: ud2
        END
; INT n through the program's own vector table
%macro REDIRECTED 5             ; kind, flags, wanted flags on the stack, flags after, mask
        CASE {"v86.vme.int.", %1}, "SDM3 20.3.3, table 20-2", v86
        NEEDS f_cpuid1d, 2
        flags_vme VM | 2 | (%2)
        redirect 0x60
        mov dword [0x60 * 4], %$handler - kBase + (kBase << 12)
        BODY
        FAULTS UD_
        WANT r_sp, kLowStack - 0x2000 - 6
        WANT r_rbx, %$back - kBase, 0xffff
        WANT r_rcx, kBase >> 4, 0xffff
        WANT r_rdx, %3, 0xffff
        WANT r_flags, %4, %5
        int 0x60
%$back: hlt
%$handler:
        mov bp, sp
        mov bx, [bp]
        mov cx, [bp + 2]
        mov dx, [bp + 4]
        ud2
        END
%endmacro
REDIRECTED "iopl3", 0x3200, 0x3202, 0, IF_ | 0x100
REDIRECTED "iopl0_vif", VIF | IF_, 0x3202, IF_, VIF | IF_
REDIRECTED "iopl0_no_vif", IF_, 0x3002, IF_, VIF | IF_
CASE "v86.vme.int.not_redirected_iopl0", "SDM3 20.3.3", v86
        NEEDS f_cpuid1d, 2
        flags_vme VM | 2
        BODY
        FAULTS GP_, 0
        AT
        int 0x60
        END
CASE "v86.vme.int.not_redirected_iopl3", "SDM3 20.3.3", v86
        NEEDS f_cpuid1d, 2
        flags_vme VM | 2 | 0x3000
        BODY
        FAULTS NONE
        END
CASE "v86.vme.int.bitmap_beyond_limit", "SDM3 20.3.3", v86
        NEEDS f_cpuid1d, 2
        flags_vme VM | 2 | 0x3000
        mov word [kGdt + kTss], 0x67
        BODY
        FAULTS GP_, 0
        AT
        int 0x60
        END
CASE "v86.vme.int3_not_redirected", "SDM3 20.3.3", v86
        NEEDS f_cpuid1d, 2
        flags_vme VM | 2
        redirect 3
        BODY
        FAULTS BP_
        int3
        END
; PVI: CLI and STI at CPL 3 of protected mode
%macro PVI 5+
        CASE {"pvi.", %1}, "SDM3 20.4", q32
        NEEDS f_cpuid1d, 2
        or dword [v_cr4], 2
        or dword [v_flags], %2
        BODY
        FAULTS %5
        WANT r_flags, %3, %4
%endmacro
%macro PVIC 6+
        PVI %1, %2, %3, %4, %5
        %6
        ud2
        END
%endmacro
PVIC "cli", VIF | IF_, IF_, VIF | IF_, UD_, cli
PVIC "sti", 0, VIF, VIF | IF_, UD_, sti
PVIC "sti_vip", VIP, VIP, VIF | VIP, GP_, sti
PVIC "pushf_shows_if", IF_, IF_, IF_, UD_, nop
PVIC "popf_keeps_if", IF_, IF_, VIF | IF_, UD_, popf_2
image_done
