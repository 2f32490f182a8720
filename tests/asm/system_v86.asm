; mode: v86 (virtual-8086 mode, IOPL 3)
; cpu: max
; expect: in each case
%define MODE v86
%include "case.inc"

        faulting GP, 0, mov cr0, eax
        faulting GP, 0, mov eax, cr0
        faulting GP, 0, mov eax, cr2
        faulting GP, 0, mov dr0, eax
        faulting GP, 0, lgdt [M]
        faulting GP, 0, lidt [M]
        faulting GP, 0, lmsw ax
        faulting GP, 0, hlt
        faulting GP, 0, clts
        faulting GP, 0, invd
        faulting GP, 0, wbinvd
        faulting GP, 0, rdmsr
        faulting GP, 0, wrmsr
        faulting GP, 0, in al, 0x60
        faulting GP, 0, out 0x60, al
        faulting GP, 0, in ax, dx
        faulting GP, 0, insb
        faulting GP, 0, outsb

        faulting UD, -1, lldt ax
        faulting UD, -1, ltr ax
        faulting UD, -1, sldt ax
        faulting UD, -1, str ax
        faulting UD, -1, lar ax, bx
        faulting UD, -1, lsl ax, bx
        faulting UD, -1, verr ax
        faulting UD, -1, verw ax
        faulting UD, -1, arpl ax, bx
        faulting UD, -1, ud2

case "int3 goes to ring 0 with the V86 frame"
        given rax, 0x1111
        faults BP_
        expect cs, kCode0
        expect ss, kData0
        expect ds, 0
        expect es, 0
        expect fs, 0
        expect gs, 0
        expect cpl, 0
        expect rsp, kStack0 - 36
        expect_memory 4, kStack0 - 4, 0
        expect_memory 4, kStack0 - 20, 0
        expect_memory 4, kStack0 - 24, kStack3
        expect_memory 4, kStack0 - 28, 0x23002
        expect_memory 4, kStack0 - 32, 0
begin
        int3
done
case "segment load makes base selector * 16"
        given rax, 0x1ff
        poke 1, 0x1ff5, 0x5a
        expect fs, 0x1ff
        expect rax, 0x5a
begin
        mov fs, ax
        mov al, [fs:5]
        mov ah, 0
done
case "cli with IOPL 3"
        given rflags, IF | 2
        expect rflags, 0x23002
begin
        cli
done
case "pushf shows IOPL 3 but not VM"
        expect rsp, kStack3 - 2
        expect_memory 2, kStack3 - 2, 0x3002
begin
        pushf
done
case "popf cannot change IOPL"
        given rsp, kStack3 - 2
        poke 2, kStack3 - 2, CF | 2
        expect rsp, kStack3
        expect rflags, 0x23003
begin
        popf
done
case "iret stays in V86 and keeps IOPL"
        given rsp, kStack3 - 6
        poke 2, kStack3 - 6, %$end
        poke 2, kStack3 - 4, 0
        poke 2, kStack3 - 2, ZF | 2
        expect rsp, kStack3
        expect rflags, 0x23002 | ZF
begin
        iret
done
case "offset beyond 64 KiB"
        given rbx, 0x10000
        faults GP, 0
begin
        mov al, [ebx]
done
case "stack beyond the limit"
        given rsp, 0xffff
        faults SS_, 0
begin
        pop ax
done
case "jmp far"
        expect cs, 0x80
begin
        jmp 0x80:(%$end - 0x800)
done
case "smsw is allowed"
        expect rax, 0x31
begin
        smsw ax
done

end_of_cases
