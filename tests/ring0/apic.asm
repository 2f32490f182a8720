; Interrupt shadow, NMI, priorities and interprocessor interrupts of the local APIC.
%include "ring0.inc"
%include "devices.inc"

; Interrupt shadow
APIC "shadow.sti", "SDM2 STI; SDM3 6.8.3"
        BODY
        FAULTS 0x41
        WANT r_ip, %$b
        self 0x41
        sti
        nop
%$b:    nop
        nop
        END
APIC "shadow.sti_cli", "SDM2 STI"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 1
        self 0x31
        sti
        cli
        nop
        mov dword [kTpr], 0xf0
        END
APIC "shadow.drain_1", "SDM3 10.8.4"         ; takes the vector the case before left pending
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 2
        sti
        nop
        settle
        cli
        END
APIC "shadow.sti_sti", "SDM2 STI"            ; a second STI makes no new shadow
        BODY
        FAULTS 0x41
        WANT r_ip, %$b
        self 0x41
        sti
        sti
%$b:    nop
        END
APIC "shadow.sti_hlt", "SDM2 STI, HLT"
        BODY
        FAULTS 0x41
        WANT r_ip, %$b
        self 0x41
        sti
        hlt
%$b:    nop
        END
APIC "shadow.none_after_popf", "SDM2 POPF"
        BODY
        FAULTS 0x41
        WANT r_ip, %$b
        self 0x41
        push dword 0x202
        popfd
%$b:    nop
        END
APIC "shadow.none_after_iret", "SDM2 IRET"
        BODY
        FAULTS 0x41
        WANT r_ip, %$b
        self 0x41
        push dword 0x202
        push dword kCode32
        push dword %$b
        iret
%$b:    nop
        END
APIC "shadow.sti_mov_ss", "SDM3 6.8.3"
        BODY
        FAULTS 0x41
        self 0x41
        mov ax, ss
        sti
        mov ss, ax
        nop
        nop
        END
APIC "shadow.handler_if_clear", "SDM3 6.8.1"
        BODY
        FAULTS 0x41
        WANT r_hflags, 0, 0x200
        WANT r_flags, 0x200, 0x10200
        self 0x41
        sti
        nop
        settle
        END
; NMI
%macro nmi_self 0
        mov eax, [kApic + 0x20]
        and eax, 0xff000000
        mov [kIcr + 0x10], eax
        mov dword [kIcr], 0x4400
        settle
%endmacro
APIC "nmi.delivered_with_if_clear", "SDM3 6.7"
        mov dword [v_goes_on], 1 << NMI_
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT kLog, NMI_
        nmi_self
        nop
        nop
        END
section .text
second_nmi:
        cmp dword [r_count], 0
        jne .end
        push ebx
        nmi_self
        nop
        mov ebx, [r_count]
        mov [kResults], ebx
        pop ebx
.end:   ret
APIC "nmi.blocked_until_iret", "SDM3 6.7.1"
        mov dword [v_goes_on], 1 << NMI_
        mov dword [v_hook], second_nmi
        BODY
        FAULTS NONE
        WANT r_count, 3                 ; both, one after the other
        WANT kResults, 0                ; not inside the first handler
        nmi_self
        nop
        nop
        END
APIC "nmi.before_interrupt", "SDM3 table 6-2"
        mov dword [v_goes_on], 1 << NMI_
        BODY
        FAULTS 0x41
        WANT r_count, 2
        WANT kLog, NMI_
        self 0x41
        nmi_self
        sti
        nop
        settle
        END
; Priorities
APIC "apic.priority.order", "SDM3 10.8.3"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 4
        WANT kLog, 0x3f
        WANT kLog + 32, 0x31
        WANT kLog + 64, 0x25
        self 0x31
        self 0x3f
        self 0x25
        sti
        nop
        settle
        nop
        nop
        cli
        END
APIC "apic.priority.lower_waits", "SDM3 10.8.3"
        mov dword [v_event_mask], -1
        BODY
        FAULTS NONE
        WANT r_rbx, 1
        WANT kLog, 0x3f
        WANT kLog + 32, 0x25
        WANT r_count, 3
        self 0x25
        self 0x3f
        sti
        nop
        settle
        mov ebx, [r_count]
        mov dword [kEoi], 0
        settle
        mov dword [kEoi], 0
        cli
        END
APIC "apic.priority.same_class_waits", "SDM3 10.8.3"
        mov dword [v_event_mask], -1
        BODY
        FAULTS NONE
        WANT r_rbx, 1
        WANT kLog, 0x31
        WANT kLog + 32, 0x3f
        self 0x31
        sti
        nop
        settle
        self 0x3f
        nop
        nop
        mov ebx, [r_count]
        mov dword [kEoi], 0
        settle
        mov dword [kEoi], 0
        cli
        END
APIC "apic.priority.higher_class_nests", "SDM3 10.8.3"
        mov dword [v_event_mask], -1
        BODY
        FAULTS NONE
        WANT r_rbx, 2
        WANT kLog + 32, 0x3f
        self 0x25
        sti
        nop
        settle
        self 0x3f
        nop
        nop
        mov ebx, [r_count]
        mov dword [kEoi], 0
        mov dword [kEoi], 0
        cli
        END
%macro TPR 3                    ; TPR, vector, delivered before it is lowered
        %defstr %%tpr %1
        %defstr %%vector %2
        APIC {"apic.tpr.", %%tpr, ".vector_", %%vector}, "SDM3 10.8.3.1"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_rbx, %3
        WANT r_count, 2
        mov dword [kTpr], %1
        self %2
        sti
        nop
        settle
        mov ebx, [r_count]
        mov dword [kTpr], 0
        settle
        cli
        END
%endmacro
TPR 0x20, 0x2f, 0
TPR 0x20, 0x30, 1
TPR 0x2f, 0x30, 1
TPR 0x30, 0x3f, 0
TPR 0x3f, 0x31, 0
TPR 0xf0, 0x31, 0
TPR 0x10, 0x20, 1
APIC "apic.ppr.tpr", "SDM3 10.8.3.1"
        BODY
        FAULTS NONE
        WANT r_rax, 0x57
        mov dword [kTpr], 0x57
        mov eax, [kPpr]
        mov dword [kTpr], 0
        END
APIC "apic.ppr.in_service", "SDM3 10.8.3.1"
        mov dword [v_event_mask], -1
        BODY
        FAULTS NONE
        WANT r_rbx, 0x30
        WANT r_rdx, 0x20000, -1         ; ISR bit of 31h
        self 0x31
        sti
        nop
        settle
        mov dword [kTpr], 0x25
        mov ebx, [kPpr]
        mov edx, [kIsr + 0x10]
        mov dword [kEoi], 0
        mov dword [kTpr], 0
        cli
        END
APIC "apic.irr.set_and_cleared", "SDM3 10.8.4"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_rbx, 0x80000000
        WANT r_rdx, 0
        self 0x3f
        mov ebx, [kIrr + 0x10]
        sti
        nop
        settle
        cli
        mov edx, [kIrr + 0x10]
        END
APIC "apic.irr.one_per_vector", "SDM3 10.8.4"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 2
        self 0x3f
        self 0x3f
        self 0x3f
        sti
        nop
        settle
        nop
        cli
        END
APIC "apic.tmr.edge", "SDM3 10.8.4"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_rbx, 0, 0x80000000
        self 0x3f
        mov ebx, [kApic + 0x190]
        sti
        nop
        settle
        cli
        END
APIC "apic.ipi.physical_self", "SDM3 10.6.1"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 2
        mov eax, [kApic + 0x20]
        mov [kIcr + 0x10], eax
        mov dword [kIcr], 0x4033
        sti
        nop
        settle
        cli
        END
APIC "apic.ipi.all_including_self", "SDM3 10.6.1"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 2
        mov dword [kIcr], 0x84033
        sti
        nop
        settle
        cli
        END
APIC "apic.ipi.all_but_self", "SDM3 10.6.1"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 1
        mov dword [kIcr], 0xc4033
        sti
        nop
        settle
        cli
        END
APIC "apic.ipi.logical", "SDM3 10.6.2.2"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 2
        mov dword [kApic + 0xe0], -1
        mov dword [kApic + 0xd0], 0x08000000
        mov dword [kIcr + 0x10], 0x0a000000
        mov dword [kIcr], 0x4833
        sti
        nop
        settle
        cli
        END
APIC "apic.ipi.logical_other", "SDM3 10.6.2.2"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 1
        mov dword [kApic + 0xe0], -1
        mov dword [kApic + 0xd0], 0x08000000
        mov dword [kIcr + 0x10], 0x04000000
        mov dword [kIcr], 0x4833
        sti
        nop
        settle
        cli
        END
APIC "apic.ipi.delivery_status_idle", "SDM3 10.6.1"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_rbx, 0, 0x1000
        self 0x3f
        mov ebx, [kIcr]
        sti
        nop
        settle
        cli
        END
APIC "apic.esr.send_illegal_vector", "SDM3 10.5.3"
        BODY
        FAULTS NONE
        WANT r_rbx, 0x20, 0x20
        self 5
        mov dword [kEsr], 0
        mov ebx, [kEsr]
        mov dword [kEsr], 0
        mov dword [kEsr], 0
        END
APIC "apic.version", "SDM3 10.4.8"
        BODY
        FAULTS NONE
        WANT r_rbx, 0x10, 0xf0
        mov ebx, [kApic + 0x30]
        END
APIC "apic.lvt.masked_when_disabled", "SDM3 10.4.7.2"
        BODY
        FAULTS NONE
        WANT r_rbx, 0x10000, 0x10000
        mov dword [kLvtTimer], 0x31
        mov dword [kSvr], 0xff
        mov dword [kLvtTimer], 0x31
        mov ebx, [kLvtTimer]
        mov dword [kSvr], 0x1ff
        END
APIC "apic.dfr.low_bits_set", "SDM3 10.6.2.2"
        BODY
        FAULTS NONE
        WANT r_rbx, 0xffffffff
        mov dword [kApic + 0xe0], 0xf0000000
        mov ebx, [kApic + 0xe0]
        END
CASE "apic.cr8.is_tpr.k64", "SDM3 10.8.6.1", k64
        call quiet
        BODY
        FAULTS NONE
        WANT r_rbx, 0x70
        WANT r_rdx, 5
        mov eax, 7
        mov cr8, rax
        mov ecx, kTpr
        mov ebx, [rcx]
        mov dword [rcx], 0x5f
        mov rdx, cr8
        mov dword [rcx], 0
        END
image_done
