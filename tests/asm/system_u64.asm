; mode: u64 (64-bit mode, CPL 3)
; cpu: max
; expect: in each case
%define MODE u64
%include "case.inc"

        faulting GP, 0, hlt
        faulting GP, 0, cli
        faulting GP, 0, sti
        faulting GP, 0, clts
        faulting GP, 0, mov rax, cr0
        faulting GP, 0, mov rax, cr8
        faulting GP, 0, mov cr3, rax
        faulting GP, 0, mov rax, dr7
        faulting GP, 0, lgdt [M]
        faulting GP, 0, lidt [M]
        faulting GP, 0, lldt ax
        faulting GP, 0, ltr ax
        faulting GP, 0, lmsw ax
        faulting GP, 0, invlpg [M]
        faulting GP, 0, wbinvd
        faulting GP, 0, rdmsr
        faulting GP, 0, wrmsr
        faulting GP, 0, swapgs
        faulting GP, 0, o64 sysret
        faulting GP, 0, in al, 0x60
        faulting GP, 0, out dx, eax
        faulting GP, 0, insd
        faulting GP, 0, sysexit
        faulting GP, 0x21 * 8 + 2, int 0x21
        faulting UD, -1, ud2

case "page fault pushes on RSP0"
        poke 8, kPageTable64 + 8 * 2, 0
        faults PF_, 6
        fault_address M
        expect rsp, kStack0 - 48
        expect_memory 8, kStack0 - 8, kData3
        expect_memory 8, kStack0 - 16, kStack3
        expect_memory 8, kStack0 - 24, 0x10002
        expect_memory 8, kStack0 - 32, kCode64User
        expect_memory 8, kStack0 - 40, %$entry
        expect_memory 8, kStack0 - 48, 6
begin
        mov [M], eax
done
case "supervisor page"
        poke 8, kPageTable64 + 8 * 2, M | 3
        faults PF_, 5
begin
        mov al, [M]
done
case "fetch from a no-execute page"
        given rbx, M
        poke 8, kPageTable64 + 8 * 2, M | 7 | (1 << 63)
        faults PF_, 0x15
        fault_address M
begin
        jmp rbx
done
case "instruction across a page: the fault belongs to the second page"
        given rbx, kFar + 0xffe
        poke 2, kFar + 0xffe, 0x00b8
        poke 8, kPageTable64 + 8 * 0x15, 0
        faults PF_, 0x14
        faults_at kFar + 0xffe
        fault_address kFar + 0x1000
begin
        jmp rbx
done
case "non-canonical in a read-modify-write"
        given rbx, 0xffff7fffffffffff
        faults GP, 0
begin
        inc qword [rbx]
done
case "cmpxchg to a read-only page faults even when different"
        given rax, 1
        poke 8, kPageTable64 + 8 * 2, M | 5
        faults PF_, 7
begin
        cmpxchg [M], rcx
done
case "bt [mem] to a read-only page"
        poke 8, kPageTable64 + 8 * 2, M | 5
        expect rflags, 0, CF
begin
        bt qword [M], 3
done
case "bts [mem] to a read-only page"
        poke 8, kPageTable64 + 8 * 2, M | 5
        faults PF_, 7
begin
        bts qword [M], 3
done
case "push to a page that is not present leaves RSP"
        given rsp, kFar + 0x1000
        poke 8, kPageTable64 + 8 * 0x14, 0
        faults PF_, 6
        fault_address kFar + 0xff8
        expect_memory 8, kStack0 - 16, kFar + 0x1000
begin
        push rax
done
case "call through memory that is not present changes nothing"
        poke 8, kPageTable64 + 8 * 2, 0
        faults PF_, 4
        faults_at %$entry
        expect_memory 8, kStack0 - 16, kStack3
begin
        call qword [M]
done
case "popfq changes neither IF nor IOPL"
        given rsp, kStack3 - 8
        poke 8, kStack3 - 8, 0x3203
        expect rsp, kStack3
        expect rflags, CF | 2
begin
        popfq
done
case "mov ss, null at CPL 3"
        faults GP, 0
begin
        mov ss, eax
done
case "user data segment reload"
        given rax, kData3
        expect es, kData3
begin
        mov es, eax
done

end_of_cases
