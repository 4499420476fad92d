/* As handler-x86.S, which has the layout of the data. */
#define DATA 65536
.Lhandler:
	adr	x9, .Lhandler + DATA
	ldr	x10, [x1, #16]
	ldr	w11, [x9, #8]
	add	x12, x9, #128
1:	cbz	w11, 2f
	ldp	x13, x14, [x12], #16
	sub	w11, w11, #1
	cmp	x10, x13
	b.lo	1b
	cmp	x10, x14
	b.hs	1b
	str	x10, [x9, #16]
3:	ldaxr	w13, [x9]
	add	w13, w13, #1
	stlxr	w14, w13, [x9]
	cbnz	w14, 3b
	ldr	x13, [x9, #24]
	and	x0, x10, x13
	ldr	x1, [x9, #32]
	mov	x2, #3
	mov	x3, #0x32
	mov	x4, #-1
	mov	x5, #0
	mov	x8, #222
	svc	#0
	tbnz	x0, #63, 2f
	ret
2:	mov	x0, #7
	add	x1, x9, #40
	mov	x2, #0
	mov	x3, #8
	mov	x8, #134
	svc	#0
	ret
