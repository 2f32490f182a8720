; mode: v86 (virtual-8086 mode, IOPL 3)
; cpu: max
; expect: in each case
%define MODE v86
%include "case.inc"

%macro privileged 1+
%push case
        section .records
        %defstr %%name %1
        db kTagCase, %%name, 0
        dd %$entry, %$end
        faults GP, 0
        faults_at %$entry
begin
        %1
done
%endmacro
        privileged mov cr0, eax
        privileged mov eax, cr0
        privileged mov eax, cr2
        privileged mov dr0, eax
        privileged lgdt [M]
        privileged lidt [M]
        privileged lmsw ax
        privileged hlt
        privileged clts
        privileged invd
        privileged wbinvd
        privileged rdmsr
        privileged wrmsr
        privileged in al, 0x60
        privileged out 0x60, al
        privileged in ax, dx
        privileged insb
        privileged outsb

%macro undefined 1+
%push case
        section .records
        %defstr %%name %1
        db kTagCase, %%name, 0
        dd %$entry, %$end
        faults UD
        faults_at %$entry
begin
        %1
done
%endmacro
        undefined lldt ax
        undefined ltr ax
        undefined sldt ax
        undefined str ax
        undefined lar ax, bx
        undefined lsl ax, bx
        undefined verr ax
        undefined verw ax
        undefined arpl ax, bx
        undefined ud2

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
