; mode: p32 (32-bit protected mode, CPL 0)
; cpu: max
; expect: in each case
%define MODE p32
%include "case.inc"

%macro load_fault 4     ; name, selector, vector, error code
case %1
        given rax, %2
        faults %3, %4
        faults_at %$entry
begin
        mov ds, ax
done
%endmacro
        load_fault "mov ds, execute-only code", kExecuteOnly, GP, kExecuteOnly & 0xfffc
        load_fault "mov ds, not present", kNotPresent, NP, kNotPresent & 0xfffc
        load_fault "mov ds, TSS", kTssSel, GP, kTssSel
        load_fault "mov ds, beyond the GDT limit", 0x100, GP, 0x100
        load_fault "mov ds, empty descriptor", kFree, GP, kFree
        load_fault "mov ds, LDT selector without LDT", 0x0c, GP, 0x0c
        load_fault "mov ds, RPL 3 to DPL 0 data", kData0 | 3, GP, kData0
%macro stack_fault 4
case %1
        given rax, %2
        faults %3, %4
        faults_at %$entry
begin
        mov ss, ax
done
%endmacro
        stack_fault "mov ss, null", 0, GP, 0
        stack_fault "mov ss, code", kCode0, GP, kCode0
        stack_fault "mov ss, DPL 3 data", kData3, GP, kData3 & 0xfffc
        stack_fault "mov ss, RPL 3", kData0 | 3, GP, kData0
        stack_fault "mov ss, read-only", kReadOnly & 0xfffc, GP, kReadOnly & 0xfffc
case "mov ss, not present"
        given rax, 0x50
        poke 8, kGdt + 0x50, 0x00cf13000000ffff
        faults SS_, 0x50
begin
        mov ss, ax
done
case "mov ds, null is allowed; using it is not"
        given rax, 0
        expect ds, 0
        faults GP, 0
        faults_at %$bad
begin
        mov ds, ax
%$bad:  mov al, [M]
done
case "mov ds, conforming code with RPL 3"
        given rax, kConforming | 3
        expect ds, kConforming | 3
begin
        mov ds, ax
done
case "write through read-only data"
        given rax, kReadOnly
        expect ds, kReadOnly
        faults GP, 0
begin
        mov ds, ax
        mov [M], al
done
case "write through code segment"
        faults GP, 0
        faults_at %$entry
begin
        mov [cs:M], al
done
case "byte at the limit of a 256-byte segment"
        given rax, kSmall
        expect ds, kSmall
        expect rax, 0
begin
        mov ds, ax
        movzx eax, byte [0xff]
done
case "word across the limit"
        given rax, kSmall
        expect ds, kSmall
        faults GP, 0
begin
        mov ds, ax
        mov ax, [0xff]
done
case "dword across the limit"
        given rax, kSmall
        expect ds, kSmall
        faults GP, 0
begin
        mov ds, ax
        mov eax, [0xfd]
done
case "expand-down: above the limit is valid"
        given rax, kExpandDown
        expect ds, kExpandDown
        expect rax, 0
begin
        mov ds, ax
        mov eax, [0x1c00]
done
case "expand-down: at the limit is not"
        given rax, kExpandDown
        expect ds, kExpandDown
        faults GP, 0
begin
        mov ds, ax
        mov al, [0xfff]
done
case "expand-down: a byte above the limit"
        given rax, kExpandDown
        expect ds, kExpandDown
        poke 1, 0x2005, 0x5a
        expect rcx, 0x5a
begin
        mov ds, ax
        mov cl, [0x2005]
done
case "loading a segment sets its accessed bit"
        given rax, kFree
        poke 8, kGdt + kFree, 0x00cf92000000ffff
        expect fs, kFree
        expect_memory 8, kGdt + kFree, 0x00cf93000000ffff
begin
        mov fs, ax
done
case "push segment registers"
        expect rsp, kStack0 - 8
        expect_memory 2, kStack0 - 4, kCode0
        expect_memory 2, kStack0 - 8, kData0
begin
        push cs
        push ss
done
case "pusha and popa"
        given rax, 1
        given rcx, 2
        given rbp, 3
        given rdi, 4
        expect_memory 4, kStack0 - 4, 1
        expect_memory 4, kStack0 - 8, 2
        expect_memory 4, kStack0 - 20, kStack0
        expect_memory 4, kStack0 - 24, 3
        expect_memory 4, kStack0 - 32, 4
begin
        pusha
        popa
done
case "enter with nesting 1"
        given rbp, 0x1234
        expect rbp, kStack0 - 4
        expect rsp, kStack0 - 24
        expect_memory 4, kStack0 - 4, 0x1234
        expect_memory 4, kStack0 - 8, kStack0 - 4
begin
        enter 16, 1
done
case "push sp-relative memory uses ESP before the push"
        given rsp, M + 0x100
        poke 4, M + 0x104, 0xcafe
        expect rsp, M + 0xfc
        expect_memory 4, M + 0xfc, 0xcafe
begin
        push dword [esp + 4]
done
case "pop to esp-relative memory uses ESP after the pop"
        given rsp, M + 0x100
        poke 4, M + 0x100, 0xcafe
        expect rsp, M + 0x104
        expect_memory 4, M + 0x10c, 0xcafe
begin
        pop dword [esp + 8]
done
case "16-bit push in 32-bit code"
        given rax, 0x12345678
        expect rsp, kStack0 - 2
        expect_memory 2, kStack0 - 2, 0x5678
begin
        push ax
done
case "jmp far to conforming code keeps CPL"
        expect cs, kConforming
begin
        jmp kConforming:%$end
done
case "jmp far to DPL 3 code"
        faults GP, kCode3 & 0xfffc
        faults_at %$entry
begin
        jmp kCode3:%$end
done
case "jmp far to data"
        faults GP, kData0
begin
        jmp kData0:%$end
done
case "jmp far to null"
        faults GP, 0
begin
        jmp 0:%$end
done
case "jmp far beyond the limit of the target"
        faults GP, 0
begin
        jmp kCode16:0x12345
done
case "call far and retf"
        expect rax, 7
begin
        call kCode0:.sub
        jmp %$end
.sub:   mov al, 7
        retf
done
case "call through a call gate of the same level"
        gate kGdt + kFree, kCode0, %$end, 0x8c, 0
        expect cs, kCode0
        expect rsp, kStack0 - 8
        expect_memory 4, kStack0 - 4, kCode0
begin
        call kFree:0
done
case "retf to CPL 3"
        given rsp, kStack0 - 16
        poke 4, kStack0 - 16, %$end
        poke 4, kStack0 - 12, kCode3
        poke 4, kStack0 - 8, kStack3
        poke 4, kStack0 - 4, kData3
        to_user
begin
        retf
done
case "iret to CPL 3 loads flags, clears data segments of CPL 0"
        given rsp, kStack0 - 20
        poke 4, kStack0 - 20, %$end
        poke 4, kStack0 - 16, kCode3
        poke 4, kStack0 - 12, 0x3202 | CF
        poke 4, kStack0 - 8, kStack3
        poke 4, kStack0 - 4, kData3
        to_user
        expect rflags, 0x3203
begin
        iret
done
case "iret to virtual-8086 mode"
        given rsp, kStack0 - 36
        poke 4, kStack0 - 36, %$end
        poke 4, kStack0 - 32, 0
        poke 4, kStack0 - 28, 0x23002
        poke 4, kStack0 - 24, 0x5000
        poke 4, kStack0 - 20, 0x10
        poke 4, kStack0 - 16, 0x20
        poke 4, kStack0 - 12, 0x30
        poke 4, kStack0 - 8, 0x40
        poke 4, kStack0 - 4, 0x50
        expect cs, 0
        expect ss, 0x10
        expect es, 0x20
        expect ds, 0x30
        expect fs, 0x40
        expect gs, 0x50
        expect rsp, 0x5000
        expect cpl, 3
        expect rflags, 0x23002
begin
        iret
done
case "iret to outer level with bad SS"
        given rsp, kStack0 - 20
        poke 4, kStack0 - 20, %$end
        poke 4, kStack0 - 16, kCode3
        poke 4, kStack0 - 12, 2
        poke 4, kStack0 - 8, kStack3
        poke 4, kStack0 - 4, kData0
        faults GP, kData0
        faults_at %$entry
begin
        iret
done
case "int 80h of the same level pushes three dwords"
        faults 0x80
        expect rsp, kStack0 - 12
        expect_memory 4, kStack0 - 4, 2
        expect_memory 4, kStack0 - 8, kCode0
begin
        int 0x80
done
case "vector beyond the IDT limit"
        any rax
        faults GP, 0x80 * 8 + 2
begin
        mov word [M], 0x1ff
        mov dword [M + 2], kIdt
        lidt [M]
        int 0x80
done
case "gate not present"
        poke 8, kIdt + 0x80 * 8, 0x00006e0000080600
        faults NP, 0x80 * 8 + 2
begin
        int 0x80
done
case "lar of code"
        given rbx, kCode0
        expect rax, 0x00c09b00, 0xfff0ffff
        expect rflags, ZF, ZF
begin
        lar eax, ebx
done
case "lar of an empty descriptor"
        given rbx, kFree
        given rax, 5
        expect rflags, 0, ZF
begin
        lar eax, ebx
done
case "lsl with granularity"
        given rbx, kData0
        expect rax, 0xffffffff
        expect rflags, ZF, ZF
begin
        lsl eax, ebx
done
case "lsl of a small segment"
        given rbx, kSmall
        expect rax, 0xff
        expect rflags, ZF, ZF
begin
        lsl eax, ebx
done
case "verr of execute-only code"
        given rbx, kExecuteOnly
        expect rflags, 0, ZF
begin
        verr bx
done
case "verw of data"
        given rbx, kData0
        expect rflags, ZF, ZF
begin
        verw bx
done
case "verw of read-only data"
        given rbx, kReadOnly
        expect rflags, 0, ZF
begin
        verw bx
done
case "arpl raises RPL"
        given rax, 0x10
        given rcx, 3
        expect rax, 0x13
        expect rflags, ZF, ZF
begin
        arpl ax, cx
done
case "arpl leaves a higher RPL"
        given rax, 0x13
        given rcx, 1
        expect rflags, 0, ZF
begin
        arpl ax, cx
done
case "lldt of a code segment"
        given rax, kCode0
        faults GP, kCode0
begin
        lldt ax
done
case "ltr of a busy TSS"
        given rax, kTssSel
        faults GP, kTssSel
begin
        ltr ax
done
case "str, sldt"
        expect rax, kTssSel
        expect rcx, 0
begin
        str eax
        sldt ecx
done
case "mov cr0 with PG but not PE"
        given rax, 0x80000030
        faults GP, 0
begin
        mov cr0, eax
done
case "mov cr0 with NW but not CD"
        given rax, 0x20000031
        faults GP, 0
begin
        mov cr0, eax
done
case "mov cr4 with a reserved bit"
        given rax, 0x80000000
        faults GP, 0
begin
        mov cr4, eax
done
case "mov cr1 does not exist"
        faults UD
begin
        mov eax, cr1
done
case "turning paging on"
        given rax, kPageDir32
        expect cr3, kPageDir32
        expect rax, 0x80000031
        expect cr0, 0x80000031
        any rcx
begin
        mov cr3, eax
        mov eax, 0x80000031
        mov cr0, eax
        mov ecx, [M]
done
case "single step traps behind the instruction"
        faults DB_
        faults_at %$after
        any rax
begin
        pushfd
        or dword [esp], TF
        popfd
        nop
%$after: nop
done
case "sysenter with a null CS"
        faults GP, 0
begin
        sysenter
done
case "cmpxchg8b equal"
        given rax, 0x55667788
        given rdx, 0x11223344
        given rbx, 1
        given rcx, 2
        poke 8, M, 0x1122334455667788
        expect rflags, ZF, ZF
        expect_memory 8, M, 0x0000000200000001
begin
        cmpxchg8b [M]
done
case "cmpxchg8b different"
        given rbx, 1
        given rcx, 2
        poke 8, M, 0x1122334455667788
        expect rax, 0x55667788
        expect rdx, 0x11223344
        expect rflags, 0, ZF
        expect_memory 8, M, 0x1122334455667788
begin
        cmpxchg8b [M]
done
case "instruction of 16 bytes"
        faults GP, 0
        faults_at %$entry
begin
        times 15 db 0x3e
        nop
done

end_of_cases
