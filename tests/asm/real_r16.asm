; mode: r16 (real mode)
; cpu: max
; expect: in each case
%define MODE r16
%include "case.inc"

case "push ax, pop bx"
        given rax, 0x9999abcd
        given rbx, 0x11110000
        expect rbx, 0x1111abcd
        expect_memory 2, 0x6ffe, 0xabcd
begin
        push ax
        pop bx
done
case "push eax moves SP by four"
        given rax, 0x12345678
        expect rsp, 0x6ffc
        expect_memory 4, 0x6ffc, 0x12345678
begin
        push eax
done
case "push sp pushes the value before"
        expect rsp, 0x6ffe
        expect_memory 2, 0x6ffe, 0x7000
begin
        push sp
done
case "push imm8 is sign-extended"
        expect rsp, 0x6ffe
        expect_memory 2, 0x6ffe, 0xff80
begin
        push byte -0x80
done
case "pusha order"
        given rax, 0x1111
        given rcx, 0x2222
        given rdx, 0x3333
        given rbx, 0x4444
        given rbp, 0x5555
        given rsi, 0x6666
        given rdi, 0x7777
        expect rsp, 0x6ff0
        expect_memory 8, 0x6ff0, 0x7000555566667777
        expect_memory 8, 0x6ff8, 0x1111222233334444
begin
        pusha
done
case "popa skips SP"
        given rsp, 0x6ff0
        poke 8, 0x6ff0, 0xeeee555566667777
        poke 8, 0x6ff8, 0x1111222233334444
        expect rax, 0x1111
        expect rcx, 0x2222
        expect rdx, 0x3333
        expect rbx, 0x4444
        expect rbp, 0x5555
        expect rsi, 0x6666
        expect rdi, 0x7777
        expect rsp, 0x7000
begin
        popa
done
case "stack wraps inside 64 KiB of SP, high half of ESP kept"
        given rsp, 0xabcd0002
        given rax, 0x1234
        expect rsp, 0xabcdfffe
        any rcx
begin
        push ax
        push ax
        mov cx, ax
done
case "enter 8, 0 and leave"
        given rbp, 0x1234
        expect rsp, 0x7000
        expect rbp, 0x1234
        expect_memory 2, 0x6ffe, 0x1234
begin
        enter 8, 0
        leave
done
case "enter 4, 2 copies a frame pointer"
        given rbp, 0x2010
        poke 2, 0x200e, 0xbeef
        expect rbp, 0x6ffe
        expect rsp, 0x6ff6
        expect_memory 2, 0x6ffe, 0x2010
        expect_memory 2, 0x6ffc, 0xbeef
        expect_memory 2, 0x6ffa, 0x6ffe
begin
        enter 4, 2
done
case "pushf shows the fixed bit"
        given rflags, CF | ZF | 2
        expect rsp, 0x6ffe
        expect_memory 2, 0x6ffe, CF | ZF | 2
begin
        pushf
done
case "popf loads IOPL, NT, DF and IF in real mode"
        given rsp, 0x6ffe
        poke 2, 0x6ffe, 0xffff & ~TF
        expect rsp, 0x7000
        expect rflags, 0x7ed7
begin
        popf
done
case "call near and ret imm16"
        expect rax, 5
        expect rsp, 0x7004
begin
        call .sub
        jmp %$end
.sub:   mov ax, 5
        ret 4
done
case "call far pushes CS and IP"
        expect cs, 0x100
        expect rsp, 0x6ffc
        expect_memory 2, 0x6ffe, 0
begin
        call 0x100:(%$end - 0x1000)
done
case "jmp far changes base"
        expect cs, 0x80
begin
        jmp 0x80:(%$end - 0x800)
done
case "retf"
        given rsp, 0x6ffc
        poke 2, 0x6ffc, %$end - 0x200
        poke 2, 0x6ffe, 0x20
        expect cs, 0x20
        expect rsp, 0x7000
begin
        retf
done
case "iret takes flags too"
        given rsp, 0x6ffa
        poke 2, 0x6ffa, %$end
        poke 2, 0x6ffc, 0
        poke 2, 0x6ffe, CF | ZF | 2
        expect rsp, 0x7000
        expect rflags, CF | ZF | 2
begin
        iret
done
case "int 21h pushes flags, CS, IP and clears IF"
        given rflags, IF | CF | 2
        faults 0x21
        expect rsp, 0x6ffa
        expect rip, kHandler
        expect rflags, CF | 2
        expect_memory 2, 0x6ffe, IF | CF | 2
        expect_memory 2, 0x6ffc, 0
begin
        int 0x21
done
case "int3"
        faults BP_
begin
        int3
done
case "into with OF"
        given rflags, OF | 2
        faults OF_
begin
        into
done
case "into without OF"
begin
        into
done
case "bound inside"
        given rax, 5
        poke 4, M, 0x00050005
begin
        bound ax, [M]
done
case "bound above"
        given rax, 6
        poke 4, M, 0x00050005
        faults BR
        faults_at %$entry
begin
        bound ax, [M]
done
case "bound compares signed"
        given rax, 0xfffe
        poke 4, M, 0x0005fffe
begin
        bound ax, [M]
done
case "mov ds makes base selector * 16"
        given rax, 0x1ff
        poke 1, 0x1ff5, 0x5a
        expect ds, 0x1ff
        expect rax, 0x5a
begin
        mov ds, ax
        mov al, [5]
        mov ah, 0
done
case "lds"
        poke 4, M, 0x12345678
        expect ds, 0x1234
        expect rbx, 0x5678
begin
        lds bx, [M]
done
case "word at offset FFFFh exceeds the limit"
        given rbx, 0xffff
        faults GP
        faults_at %$entry
begin
        mov ax, [bx]
done
case "32-bit offset beyond 64 KiB exceeds the limit"
        given rbx, 0x10000
        faults GP
begin
        mov al, [ebx]
done
case "stack word at SP = FFFFh"
        given rsp, 0xffff
        faults SS_
begin
        pop ax
done
case "16-bit addresses wrap"
        given rbx, 0xf000
        given rsi, 0x3000
        poke 2, 0x2000, 0x4321
        expect rax, 0x4321
begin
        mov ax, [bx + si]
done
case "bp addresses the stack segment"
        given rax, 0x100
        given rbp, 0x1000
        poke 2, 0x2000, 0x8765
        expect ss, 0x100
        expect rcx, 0x8765
begin
        mov ss, ax
        mov cx, [bp]
done
case "xlat"
        given rax, 0x12
        given rbx, M
        poke 1, M + 0x12, 0x99
        expect rax, 0x99
begin
        xlatb
done
case "lea 16-bit"
        given rbx, 0xffff
        given rdi, 3
        expect rax, 0x12
begin
        lea ax, [bx + di + 0x10]
done
case "arpl is undefined in real mode"
        faults UD
begin
        arpl ax, bx
done
case "lldt is undefined in real mode"
        faults UD
begin
        lldt ax
done
case "str is undefined in real mode"
        faults UD
begin
        str ax
done
case "VEX prefix is no prefix in real mode"
        faults UD
begin
        db 0xc4, 0xe2, 0x70, 0xf2, 0xc2
done
case "ud2"
        faults UD
        faults_at %$entry
begin
        ud2
done
case "lock on a register"
        faults UD
begin
        db 0xf0
        add ax, bx
done
case "smsw shows ET and NE, no PE"
        expect rax, 0x30
begin
        smsw ax
done
case "entering protected mode by lmsw keeps CS"
        expect rax, 1
        expect cr0, 0x31
begin
        mov ax, 1
        lmsw ax
done
case "sgdt stores six bytes"
        any rax
        expect_memory 2, M, 0x123
        expect_memory 4, M + 2, 0x00456789
begin
        mov word [M + 16], 0x123
        mov dword [M + 18], 0x00456789
        lgdt [M + 16]
        sgdt [M]
done
case "loop uses CX"
        given rcx, 0x10002
        expect rcx, 0x10000
        expect rax, 2
begin
.next:  inc ax
        loop .next
done
case "jcxz looks at CX only"
        given rcx, 0x10000
begin
        jcxz %$end
        ud2
done
case "jecxz looks at ECX"
        given rcx, 0x10000
        expect rax, 1
begin
        jecxz %$end
        inc ax
done
case "a20 is open: 10FFEFh region through FFFFh segment"
        given rax, 0xffff
        expect rax, 0x5a
        expect ds, 0xffff
begin
        mov ds, ax
        mov byte [0x10], 0x5a
        mov al, [0x10]
        mov ah, 0
done
case "rep string with 67h counts ECX"
        given rcx, 0x3
        given rdi, M
        given rax, 0x41
        expect rcx, 0
        expect rdi, M + 3
        expect_memory 4, M, 0x414141
begin
        a32 rep stosb
done

end_of_cases
