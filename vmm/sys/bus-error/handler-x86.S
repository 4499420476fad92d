/*
 * SIGBUS: void handler(int signal, siginfo_t *info, void *context). In a mapping that is on the list, the page is replaced by zeroed
 * memory, and counted; the access then goes on there. Elsewhere the signal ends the process, as it would have.
 * Data, DATA bytes behind this code: 0 count, 8 mappings on the list, 16 last address, 24 page mask, 32 page size, 40 struct
 * kernel_sigaction of zeros (SIG_DFL), 128 the list of [start, end).
 */
#define DATA 65536
.Lhandler:
	leaq	.Lhandler + DATA(%rip), %r10
	movq	16(%rsi), %rax
	movl	8(%r10), %ecx
	leaq	128(%r10), %r11
1:	testl	%ecx, %ecx
	jz	3f
	cmpq	(%r11), %rax
	jb	2f
	cmpq	8(%r11), %rax
	jb	4f
2:	addq	$16, %r11
	decl	%ecx
	jmp	1b
3:	movl	$7, %edi
	leaq	40(%r10), %rsi
	xorl	%edx, %edx
	movl	$8, %r10d
	movl	$13, %eax
	syscall
	ret
4:	movq	%rax, 16(%r10)
	lock incl (%r10)
	movq	%rax, %rdi
	andq	24(%r10), %rdi
	movq	32(%r10), %rsi
	movl	$3, %edx
	movq	%r10, %r11
	movl	$0x32, %r10d
	movq	$-1, %r8
	xorl	%r9d, %r9d
	movl	$9, %eax
	syscall
	leaq	.Lhandler + DATA(%rip), %r10
	testq	%rax, %rax
	js	3b
	ret
