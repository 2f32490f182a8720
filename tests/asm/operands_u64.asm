; mode: u64 (64-bit mode, CPL 3)
; cpu: max
; expect: SDM vol. 3, table 6-7 (alignment checks), vol. 2, 2.7 (exception types 6, 11, 12) and the
; instruction pages; where these leave it open, what an Intel processor did (dragoman-test host)
%define MODE u64
%include "case.inc"

case "operands of 16 bytes are not checked for alignment"
        vectors
        given rflags, AC | 2
        given rbx, M + 1
        poke 8, M + 1, 0x1122334455667788
        expect_ymm 1, 0x1122334455667788, 0, 0, 0
begin
        movups xmm1, [rbx]
done
case "nor those of 32 bytes"
        vectors
        given rflags, AC | 2
        given rbx, M + 3
        poke 8, M + 3, 5
        expect_ymm 1, 6, 1, 1, 1
        given_ymm 2, 1, 1, 1, 1
begin
        vpaddq ymm1, ymm2, [rbx]
done
case "an 80-bit operand is checked for 8 bytes"
        vectors
        given rflags, AC | 2
        given rbx, M + 4
        faults AC_, 0
begin
        fld tword [rbx]
done
case "the x87 environment is checked for 4 bytes"
        vectors
        given rflags, AC | 2
        given rbx, M + 2
        faults AC_, 0
begin
        fnstenv [rbx]
done
case "gathers are never checked for alignment"
        vectors
        given rflags, AC | 2
        given rbx, M + 1
        poke 4, M + 1, 0x11223344
        given_ymm 2, 0x8000000080000000, 0x8000000080000000, 0, 0
        expect_ymm 1, 0x1122334411223344, 0x1122334411223344, 0, 0
        expect_ymm 2, 0, 0, 0, 0
begin
        vpgatherdd xmm1, [rbx + xmm3], xmm2
done
case "masked moves are never checked for alignment"
        vectors
        given rflags, AC | 2
        given rbx, M + 1
        given_ymm 1, 0x8000000000000000, 0, 0, 0
        given_ymm 2, 0x99, 0, 0, 0
        expect_memory 8, M + 1, 0x99
begin
        vpmaskmovq [rbx], xmm1, xmm2
done
case "conversions of half precision are never checked for alignment"
        vectors
        given rflags, AC | 2
        given rbx, M + 1
        poke 8, M + 1, 0x3c003c003c003c00
        expect_ymm 1, 0x3f8000003f800000, 0x3f8000003f800000, 0, 0
begin
        vcvtph2ps xmm1, [rbx]
done
case "an unmasked x87 exception keeps a store from an absent page"
        vectors
        given fcw, 0x37e
        poke 8, kPageTable64 + 8 * 2, 0
        expect fsw, 0x80c1      ; IE, SF, ES, B; nothing popped
begin
        fstp dword [M]
done
case "what a fault leaves of a gather"
        vectors
        given rbx, M
        poke 4, M, 0x55
        poke 8, kPageTable64 + 8 * (kFar >> 12), 0
        given_ymm 1, 7, 7, 7, 7
        given_ymm 2, 0x8000000080000000, 0x8000000080000000, 5, 6
        given_ymm 3, (kFar - M) << 32, 0, 0, 0
        faults PF_, 4
        fault_address kFar
        expect_ymm 1, 0x55, 7, 0, 0
        expect_ymm 2, 0xffffffff00000000, 0xffffffffffffffff, 0, 0
begin
        vpgatherdd xmm1, [rbx + xmm3], xmm2
done
end_of_cases
