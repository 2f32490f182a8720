; mode: k64 (64-bit mode, CPL 0)
; cpu: max
; expect: in each case
%define MODE k64
%include "case.inc"

case "push rax, pop rbx"
        given rax, 0x1122334455667788
        expect rbx, 0x1122334455667788
        expect_memory 8, kStack0 - 8, 0x1122334455667788
begin
        push rax
        pop rbx
done
case "push imm32 is sign-extended"
        expect rsp, kStack0 - 8
        expect_memory 8, kStack0 - 8, -2
begin
        push -2
done
case "push ax with 66h moves RSP by two"
        given rax, 0x1234
        expect rsp, kStack0 - 2
        expect_memory 2, kStack0 - 2, 0x1234
begin
        push ax
done
case "enter and leave"
        given rbp, 0x1234567890
        expect_memory 8, kStack0 - 8, 0x1234567890
begin
        enter 32, 0
        leave
done
case "pushfq"
        given rflags, CF | 2
        expect rsp, kStack0 - 8
        expect_memory 8, kStack0 - 8, CF | 2
begin
        pushfq
done
case "32-bit result clears bits 63:32"
        given rax, -1
        expect rax, 1
begin
        mov eax, 1
done
case "16-bit result keeps bits 63:16"
        given rax, -1
        expect rax, 0xffffffffffff0001
begin
        mov ax, 1
done
case "cmov with a false condition clears bits 63:32"
        given rax, -1
        expect rax, 0xffffffff
begin
        cmovc eax, ecx
done
case "xchg eax, eax with REX.B is no nop"
        given rax, 1
        given r8, 0xffffffff00000002
        expect rax, 2
        expect r8, 1
begin
        xchg eax, r8d
done
case "nop keeps rax"
        given rax, -1
begin
        nop
done
case "spl, bpl, sil, dil need REX"
        given rsi, 0x1234
        given rax, 0xabcd
        expect rsi, 0x12cd
begin
        mov sil, al
done
case "mov r64, imm64"
        expect r15, 0x8877665544332211
begin
        mov r15, 0x8877665544332211
done
case "mov al, [moffs64]"
        poke 1, M + 3, 0x42
        expect rax, 0x42
begin
        mov al, [qword M + 3]
done
case "RIP-relative with an immediate counts from the end"
        expect rax, 0x99
begin
        mov byte [rel %$data], 0x99
        movzx eax, byte [rel %$data]
        jmp %$end
%$data: db 0
done
case "67h truncates the address"
        given rbx, 0xffffffff00002000
        poke 4, M, 0x1234
        expect rax, 0x1234
begin
        mov eax, [ebx]
done
case "fs base"
        given fsbase, M
        poke 4, M + 4, 0x55
        expect rax, 0x55
begin
        mov eax, [fs:4]
done
case "ds has base 0"
        poke 4, M, 0x66
        expect rax, 0x66
begin
        mov eax, [M]
done
case "movsxd"
        given rcx, 0x80000000
        expect rax, 0xffffffff80000000
begin
        movsxd rax, ecx
done
case "cmpxchg16b equal"
        given rax, 1
        given rdx, 2
        given rbx, 3
        given rcx, 4
        poke 8, M, 1
        poke 8, M + 8, 2
        expect rflags, ZF, ZF
        expect_memory 8, M, 3
        expect_memory 8, M + 8, 4
begin
        lock cmpxchg16b [M]
done
case "cmpxchg16b misaligned"
        faults GP, 0
begin
        cmpxchg16b [M + 8]
done
case "bt with a 64-bit bit offset"
        given rcx, -1
        given rbx, M + 8
        poke 8, M, 0x8000000000000000
        expect rflags, CF, CF
begin
        bt [rbx], rcx
done
        ; Opcodes without meaning in 64-bit mode: push es ... pop ds, daa, das, aaa, aas, pusha,
        ; popa, call far, les-less VEX, into, aam, aad, salc, jmp far, group 1 alias
        faulting UD, -1, db 0x06
        faulting UD, -1, db 0x07
        faulting UD, -1, db 0x0e
        faulting UD, -1, db 0x16
        faulting UD, -1, db 0x17
        faulting UD, -1, db 0x1e
        faulting UD, -1, db 0x1f
        faulting UD, -1, db 0x27
        faulting UD, -1, db 0x2f
        faulting UD, -1, db 0x37
        faulting UD, -1, db 0x3f
        faulting UD, -1, db 0x60
        faulting UD, -1, db 0x61
        faulting UD, -1, db 0x82, 0xc0, 0
        faulting UD, -1, db 0x9a, 0, 0, 0, 0, 0, 0
        faulting UD, -1, db 0xce
        faulting UD, -1, db 0xd4, 10
        faulting UD, -1, db 0xd5, 10
        faulting UD, -1, db 0xd6
        faulting UD, -1, db 0xea, 0, 0, 0, 0, 0, 0
        faulting UD, -1, db 0x0f, 0x0b
        faulting UD, -1, db 0xf0, 0x01, 0xc0
        faulting UD, -1, db 0x0f, 0x20, 0xc8
        faulting UD, -1, db 0x8d, 0xc0

case "non-canonical data address"
        given rbx, 0x0000800000000000
        faults GP, 0
        faults_at %$entry
begin
        mov al, [rbx]
done
case "non-canonical stack address"
        given rbp, 0x8000000000000000
        faults SS_, 0
begin
        mov al, [rbp]
done
case "non-canonical jump target"
        given rbx, 0x1000000000000000
        faults GP, 0
        faults_at %$entry
begin
        jmp rbx
done
case "page not present"
        poke 8, kPageTable64 + 8 * 2, 0
        faults PF_, 0
        fault_address M + 1
begin
        mov al, [M + 1]
done
case "reserved bit in a PTE"
        poke 8, kPageTable64 + 8 * 2, M | 7 | (1 << 51)
        faults PF_, 9
        fault_address M
begin
        mov al, [M]
done
case "write to a read-only page with CR0.WP"
        poke 8, kPageTable64 + 8 * 2, M | 5
        faults PF_, 3
begin
        mov [M], al
done
case "write to a read-only page without CR0.WP"
        given cr0, 0x80000031
        given rax, 0x7e
        poke 8, kPageTable64 + 8 * 2, M | 5
        expect_memory 1, M, 0x7e
begin
        mov [M], al
done
case "fetch from a no-execute page"
        given rbx, M
        poke 8, kPageTable64 + 8 * 2, M | 7 | (1 << 63)
        faults PF_, 0x11
        faults_at M
        fault_address M
begin
        jmp rbx
done
case "SMEP"
        given rbx, M
        given cr4, 0x100020
        faults PF_, 0x11
        fault_address %$entry
begin
        nop
done
case "SMAP needs EFLAGS.AC"
        given cr4, 0x200020
        poke 8, kPageTable64 + 8 * 8, 0x8003
        poke 8, kPageTable64 + 8 * 0, 0x0003    ; handler, tables and stack too
        poke 8, kPageTable64 + 8 * 1, 0x1003
        poke 8, kPageTable64 + 8 * 3, 0x3003
        poke 8, kPageTable64 + 8 * 6, 0x6003
        faults PF_, 1
        fault_address M
begin
        mov al, [M]
done
case "SMAP with EFLAGS.AC"
        given cr4, 0x200020
        given rflags, AC | 2
        poke 8, kPageTable64 + 8 * 8, 0x8003
        poke 1, M, 0x21
        expect rax, 0x21
begin
        mov al, [M]
done
case "2 MiB page"
        given rbx, 0x200000
        poke 8, 0x23008, 0x87
        poke 4, M + 0x40, 0x1357
        expect rax, 0x1357
        expect_memory 8, 0x23008, 0xa7
begin
        mov eax, [rbx + M + 0x40]
done
case "2 MiB page with a reserved bit"
        given rbx, 0x200000
        poke 8, 0x23008, 0x2087
        faults PF_, 9
begin
        mov eax, [rbx]
done
case "1 GiB page"
        given rbx, 0x40000000
        poke 8, 0x22008, 0x87
        poke 4, M + 0x40, 0x2468
        expect rax, 0x2468
begin
        mov eax, [rbx + M + 0x40]
done
case "page table entry changed, then invlpg"
        poke 4, 0x5000, 0x77
        poke 4, M, 0x66
        expect rax, 0x77
        expect rcx, 0x66
begin
        mov ecx, [M]
        mov dword [kPageTable64 + 8 * 2], 0x5007
        invlpg [M]
        mov eax, [M]
done
case "mov cr8 above 15"
        given rax, 16
        faults GP, 0
begin
        mov cr8, rax
done
case "clearing CR4.PAE in long mode"
        faults GP, 0
begin
        mov cr4, rax
done
case "clearing EFER.LME while paging"
        given rcx, 0xc0000080
        given rax, 1
        faults GP, 0
begin
        wrmsr
done
case "wrmsr of a non-canonical FS base"
        given rcx, 0xc0000100
        given rdx, 0x8000
        faults GP, 0
begin
        wrmsr
done
case "swapgs"
        given gsbase, 0x1234
        expect gsbase, 0
begin
        swapgs
done
case "syscall"
        given rflags, CF | 2
        any rax
        any rdx
        expect rcx, %$after
        expect r11, CF | PF | ZF | DF | 2
        expect cs, kCode0
        expect ss, kData0
        expect rflags, CF | 2, CF | DF | 2
begin
        mov ecx, 0xc0000081
        xor eax, eax
        mov edx, 0x00130008
        wrmsr
        inc ecx
        mov eax, %$end
        xor edx, edx
        wrmsr
        mov ecx, 0xc0000084
        mov eax, DF
        wrmsr
        stc
        std
        syscall
%$after: ud2
done
case "sysretq to CPL 3"
        given rcx, 0x8001
        any rax
        any rdx
        any rcx
        given r11, 0x202
        given rbx, %$end
        expect cs, 0x83
        expect ss, 0x7b
        expect cpl, 3
        expect rflags, 0x202
begin
        mov ecx, 0xc0000081
        xor eax, eax
        mov edx, 0x00730000
        wrmsr
        mov rcx, rbx
        o64 sysret
done
case "iretq to compatibility mode, CPL 3"
        given rsp, kStack0 - 40
        poke 8, kStack0 - 40, %$end
        poke 8, kStack0 - 32, kCode3
        poke 8, kStack0 - 24, 0x202
        poke 8, kStack0 - 16, kStack3
        poke 8, kStack0 - 8, kData3
        to_user
        expect rflags, 0x202
begin
        iretq
done
case "iretq of the same level pops SS:RSP too"
        given rsp, kStack0 - 40
        poke 8, kStack0 - 40, %$end
        poke 8, kStack0 - 32, kCode64
        poke 8, kStack0 - 24, 2
        poke 8, kStack0 - 16, 0x5008
        poke 8, kStack0 - 8, 0
        expect rsp, 0x5008
        expect ss, 0
begin
        iretq
done
case "retfq"
        given rsp, kStack0 - 16
        poke 8, kStack0 - 16, %$end
        poke 8, kStack0 - 8, kCode64
        expect rsp, kStack0
begin
        o64 retf
done
case "int 80h aligns the stack and pushes SS:RSP"
        given rsp, kStack0 - 7
        faults 0x80
        expect rsp, kStack0 - 56
        expect cs, kCode64
        expect_memory 8, kStack0 - 24, kData0
        expect_memory 8, kStack0 - 32, kStack0 - 7
        expect_memory 8, kStack0 - 40, 2
        expect_memory 8, kStack0 - 48, kCode64
        expect_memory 8, kStack0 - 56, %$after
begin
        int 0x80
%$after: nop
done
case "int 80h on an IST stack"
        poke 1, kIdt + 0x80 * 16 + 4, 1
        poke 8, kTss + 0x24, 0x5800
        faults 0x80
        expect rsp, 0x5800 - 40
        expect_memory 8, 0x5800 - 16, kStack0
begin
        int 0x80
done
case "mov ss, null at CPL 0 is allowed"
        expect ss, 0
begin
        mov ss, eax
done
case "mov ds, null and use"
        expect ds, 0
        poke 1, M, 7
        expect rax, 7
begin
        mov ds, eax
        mov al, [M]
done
case "cs with L and D set"
        given rsp, kStack0 - 16
        poke 8, kStack0 - 16, %$end
        poke 8, kStack0 - 8, kFree
        poke 8, kGdt + kFree, 0x00ef9b000000ffff
        faults GP, kFree
begin
        o64 retf
done
case "loop uses RCX"
        given rcx, 3
        expect rcx, 0
        expect rax, 3
begin
.next:  lea eax, [rax + 1]
        loop .next
done
case "jrcxz"
        given rcx, 0x100000000
        expect rax, 1
begin
        jrcxz %$end
        lea eax, [rax + 1]
done
case "call rel32 and ret"
        expect rax, 9
begin
        call .sub
        jmp %$end
.sub:   mov eax, 9
        ret
done
case "rdfsbase needs CR4.FSGSBASE"
        faults UD
begin
        rdfsbase rax
done
case "wrfsbase"
        given cr4, 0x10020
        given rax, 0x123456789
        expect fsbase, 0x123456789
begin
        wrfsbase rax
done

end_of_cases
