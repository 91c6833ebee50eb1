#include "server/media/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_MEMORY ((rlim_t) 768 << 20)
#define MAX_CPU_S  10
#define MAX_OUTPUT ((rlim_t) 32 << 20)

static gboolean
limit (int resource, rlim_t most)
{
  const struct rlimit value = { most, most };

  return setrlimit (resource, &value) == 0;
}

gboolean
cm_confine_resources (void)
{
  /* At the soft limit a signal that says why; at the hard one the end. */
  static const struct rlimit processor = { MAX_CPU_S, MAX_CPU_S + 1 };

  /* A node that is killed takes its workers along. */
  if (prctl (PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return FALSE;
#ifndef CM_SANITIZED /* whose shadow memory is larger than any memory */
  if (!limit (RLIMIT_AS, MAX_MEMORY))
    return FALSE;
#endif
  return setrlimit (RLIMIT_CPU, &processor) == 0 && limit (RLIMIT_FSIZE, MAX_OUTPUT) &&
         limit (RLIMIT_CORE, 0);
}

#ifdef CM_SANITIZED /* whose runtime opens files to look for leaks */
gboolean
cm_confine_calls (void)
{
  return TRUE;
}
#else

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "give the audit number of this architecture"
#endif

/* What allocating, threads, waiting and the ends of a process take. */
static const unsigned allowed[] = {
  SYS_brk,
  SYS_clock_gettime,
  SYS_clock_nanosleep,
  SYS_close,
  SYS_exit,
  SYS_exit_group,
  SYS_fstat,
  SYS_futex,
  SYS_getpid,
  SYS_getrandom,
  SYS_gettid,
  SYS_lseek,
  SYS_madvise,
  SYS_mmap,
  SYS_mprotect,
  SYS_mremap,
  SYS_munmap,
  SYS_newfstatat,
  SYS_read,
  SYS_restart_syscall,
  SYS_rseq,
  SYS_rt_sigaction,
  SYS_rt_sigprocmask,
  SYS_rt_sigreturn,
  SYS_sched_getaffinity,
  SYS_sched_yield,
  SYS_set_robust_list,
  SYS_sigaltstack,
  SYS_sysinfo,
  SYS_umask,
  SYS_uname,
  SYS_write,
};

/* seccomp_data: the number, the architecture, an instruction pointer, six arguments. */
#define AT_NUMBER       offsetof (struct seccomp_data, nr)
#define AT_ARCHITECTURE offsetof (struct seccomp_data, arch)
/* The lower half, on the machines above. */
#define AT_FIRST        offsetof (struct seccomp_data, args[0])

#define REFUSE(code) (SECCOMP_RET_ERRNO | (code))

static void
add (GArray *program, guint16 code, guint32 operand, guint8 if_true, guint8 if_false)
{
  const struct sock_filter step = { code, if_true, if_false, operand };

  g_array_append_val (program, step);
}

/* Ends with @verdict for the call @number, whose number is loaded. */
static void
add_call (GArray *program, unsigned number, guint32 verdict)
{
  add (program, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
  add (program, BPF_RET | BPF_K, verdict, 0, 0);
}

/* Allows the call @number if its first argument passes @test with @operand. */
static void
add_call_if (GArray *program, unsigned number, guint16 test, guint32 operand)
{
  add (program, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4);
  add (program, BPF_LD | BPF_W | BPF_ABS, AT_FIRST, 0, 0);
  add (program, BPF_JMP | test | BPF_K, operand, 0, 1);
  add (program, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
  add (program, BPF_RET | BPF_K, REFUSE (EPERM), 0, 0);
}

static GArray *
make_filter (void)
{
  GArray *program = g_array_new (FALSE, FALSE, sizeof (struct sock_filter));

  add (program, BPF_LD | BPF_W | BPF_ABS, AT_ARCHITECTURE, 0, 0);
  add (program, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
  add (program, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
  add (program, BPF_LD | BPF_W | BPF_ABS, AT_NUMBER, 0, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (allowed); i++)
    add_call (program, allowed[i], SECCOMP_RET_ALLOW);
  /* Its flags lie in memory, where no filter sees them; without it libc takes the older call. */
  add_call (program, SYS_clone3, REFUSE (ENOSYS));
  add_call_if (program, SYS_clone, BPF_JSET, CLONE_THREAD);
  add_call_if (program, SYS_prctl, BPF_JEQ, PR_SET_NAME);
  add_call_if (program, SYS_prlimit64, BPF_JEQ, 0);
  add_call_if (program, SYS_tgkill, BPF_JEQ, (guint32) getpid ());
  add (program, BPF_RET | BPF_K, REFUSE (EPERM), 0, 0);
  return program;
}

gboolean
cm_confine_calls (void)
{
  g_autoptr (GArray) steps = make_filter ();
  const struct sock_fprog program = { (unsigned short) steps->len, (void *) steps->data };

  /* Of all threads: the libraries may have some already. */
  return limit (RLIMIT_NOFILE, 0) &&
         syscall (SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}
#endif
