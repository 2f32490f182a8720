; 8259 pair and IOAPIC of an i440FX PC: masks, end of interrupt, edge and level.
%include "ring0.inc"
%include "devices.inc"

section .text
irq13_hook:
        xor al, al
        out 0xf0, al
        fnclex
        mov al, 0x20
        out 0xa0, al
        out 0x20, al
        ret

; 8259
%macro PIC 2
        APIC {%1}, %2
        mov dword [kLint0], 0x700       ; virtual wire
        mov dword [v_event_mask], -1
        mov dword [v_hook], pic_eoi_hook
%endmacro
%macro pit_shot 0               ; channel 0 fires once, soon
        mov al, 0x30
        out 0x43, al
        mov al, 50
        out 0x40, al
        mov al, 0
        out 0x40, al
%endmacro
PIC "pic.irq0", "8259A, 8254 data sheets"
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT kLog, 0x28
        mov al, 0xfe
        out 0x21, al
        pit_shot
        sti
        wait_some
        cli
        END
PIC "pic.masked_is_remembered", "8259A data sheet, IRR"
        BODY
        FAULTS NONE
        WANT r_rbx, 1, 1
        WANT r_count, 1
        pit_shot
        sti
        mov ecx, 200000
%$a:    in al, 0x20
        test al, 1
        jnz %$b
        loop %$a
%$b:    movzx ebx, al
        cli
        END
PIC "pic.imr_reads_back", "8259A data sheet, OCW1"
        BODY
        FAULTS NONE
        WANT r_rbx, 0xa5
        mov al, 0xa5
        out 0x21, al
        in al, 0x21
        movzx ebx, al
        mov al, 0xff
        out 0x21, al
        END
PIC "pic.isr_until_eoi", "8259A data sheet, OCW3"
        mov dword [v_hook], 0
        BODY
        FAULTS NONE
        WANT r_rbx, 1
        WANT r_rdx, 0
        mov al, 0xfe
        out 0x21, al
        pit_shot
        sti
        wait_some
        cli
        mov al, 0xb
        out 0x20, al
        in al, 0x20
        movzx ebx, al
        mov al, 0x60            ; specific EOI of 0
        out 0x20, al
        in al, 0x20
        movzx edx, al
        mov al, 0xa
        out 0x20, al
        END
PIC "pic.auto_eoi", "8259A data sheet, ICW4"
        mov dword [v_hook], 0
        BODY
        FAULTS NONE
        WANT r_rbx, 0
        WANT r_count, 2
        mov al, 0x11
        out 0x20, al
        mov al, 0x28
        out 0x21, al
        mov al, 4
        out 0x21, al
        mov al, 3
        out 0x21, al
        mov al, 0xfe
        out 0x21, al
        pit_shot
        sti
        wait_some
        cli
        mov al, 0xb
        out 0x20, al
        in al, 0x20
        movzx ebx, al
        mov al, 0xa
        out 0x20, al
        END
PIC "pic.slave_irq8", "8259A, MC146818 data sheets"
        mov dword [v_hook], pic_both_hook
        BODY
        FAULTS NONE
        WANT kLog, 0x30
        WANT r_rbx, 1
        mov al, 0xfb
        out 0x21, al
        mov al, 0xfe
        out 0xa1, al
        rtc_periodic
        sti
        wait_some
        cli
        mov al, 0xff
        out 0xa1, al
        rtc_off
        cmp dword [r_count], 1
        setae bl
        END
PIC "pic.lint0_masked", "SDM3 10.5.1"
        mov dword [kLint0], 0x10700
        BODY
        FAULTS NONE
        WANT r_count, 1
        mov al, 0xfe
        out 0x21, al
        pit_shot
        sti
        mov ecx, 20000
%$a:    in al, 0x20
        loop %$a
        cli
        END
; Without CR0.NE an unmasked x87 error is reported as IRQ 13, cleared by a write to port F0h.
PIC "pic.irq13_x87_error", "SDM1 8.7.2; SDM3 2.5 NE"
        and dword [v_cr0], ~0x20
        mov dword [v_hook], irq13_hook
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT kLog, 0x35
        mov al, 0xfb
        out 0x21, al
        mov al, 0xdf
        out 0xa1, al
        fninit
        mov word [kResults], 0x37b
        fldcw [kResults]
        fld1
        fldz
        fdivp st1, st0
        sti
        fwait
        nop
        nop
        cli
        END
; IOAPIC: pin 8 is the RTC.
%macro redirect 2               ; pin, low doubleword
        mov dword [kIoApic], 0x11 + 2 * (%1)
        mov eax, [kApic + 0x20]
        mov [kIoApic + 0x10], eax
        mov dword [kIoApic], 0x10 + 2 * (%1)
        mov dword [kIoApic + 0x10], %2
%endmacro
APIC "ioapic.version", "82093AA data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 0x170000, 0xff0000          ; 24 pins
        mov dword [kIoApic], 1
        mov ebx, [kIoApic + 0x10]
        END
APIC "ioapic.redirection_reads_back", "82093AA data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 0x1a931, 0x1afff
        mov dword [kIoApic], 0x10 + 2 * 12
        mov dword [kIoApic + 0x10], 0x1a931
        mov ebx, [kIoApic + 0x10]
        mov dword [kIoApic + 0x10], 0x10000
        END
APIC "ioapic.status_bits_read_only", "82093AA data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 0, 0x5000
        mov dword [kIoApic], 0x10 + 2 * 12
        mov dword [kIoApic + 0x10], 0x15031
        mov ebx, [kIoApic + 0x10]
        mov dword [kIoApic + 0x10], 0x10000
        END
APIC "ioapic.rtc_edge", "82093AA, MC146818 data sheets"
        mov dword [v_event_mask], -1
        mov dword [v_hook], rtc_hook
        BODY
        FAULTS NONE
        WANT kLog, 0x35
        redirect 8, 0x35
        rtc_periodic
        sti
        wait_some
        cli
        redirect 8, 0x10000
        rtc_off
        sti
        nop
        settle
        cli
        END
APIC "ioapic.masked", "82093AA data sheet"
        mov dword [v_event_mask], -1
        mov dword [v_hook], rtc_hook
        BODY
        FAULTS NONE
        WANT r_count, 1
        redirect 8, 0x10035
        rtc_periodic
        sti
        mov ecx, 5000
%$a:    in al, 0x61
        loop %$a
        cli
        rtc_off
        END
APIC "ioapic.edge_once_without_acknowledge", "82093AA, MC146818 data sheets"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 2                 ; the line stays high: no new edge
        redirect 8, 0x35
        rtc_periodic
        sti
        wait_some
        mov ecx, 5000
%$a:    in al, 0x61
        loop %$a
        cli
        redirect 8, 0x10000
        rtc_off
        END
section .text
level_hook:                     ; three times without silencing the device, then with
        cmp dword [r_count], 2
        jb .end
        mov al, 0xb
        out 0x70, al
        mov al, 2
        out 0x71, al
        mov al, 0xc
        out 0x70, al
        in al, 0x71
.end:   mov dword [kIoApic], 0x20
        mov eax, [kIoApic + 0x10]
        mov [kResults], eax     ; remote IRR while in service
        mov dword [kEoi], 0
        ret
APIC "ioapic.level_until_silent", "82093AA data sheet; SDM3 10.8.5"
        mov dword [v_event_mask], -1
        mov dword [v_hook], level_hook
        BODY
        FAULTS NONE
        WANT r_count, 4
        WANT kResults, 0x4000, 0x4000
        WANT r_rbx, 0, 0x4000
        redirect 8, 0x8035
        rtc_periodic
        sti
        wait_some
        mov ecx, 5000
%$a:    in al, 0x61
        loop %$a
        cli
        mov dword [v_hook], 0
        mov dword [kIoApic], 0x20
        mov ebx, [kIoApic + 0x10]
        redirect 8, 0x10000
        END
image_done
