; The guided example of README.md: goes over a structure 50000 times and calls a small function.
; nasm -f bin -o loop.bin loop.asm
bits 64
  mov ecx, 50000
next:
  mov rdx, [rsi]        ; two fields of a structure, off the same register
  add rax, [rsi+8]
  imul rdx, rdx, 3      ; nobody reads its flags
  mov [rsi+16], rdx
  cmp rdx, rax          ; the jump below reads its flags,
  mov [rdi], rax        ; and a store stands between
  jb less
  sub rax, rdx
less:
  call mix
  dec ecx
  jnz next
  hlt
mix:
  lea rax, [rax+rax*2]
  ret
