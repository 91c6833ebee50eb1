/* What is left to whoever takes the thumbnail worker over. */
#include "server/media/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef CM_SANITIZED
#define SANITIZED TRUE
#else
#define SANITIZED FALSE
#endif

/* Runs @act in a child; its result is the child's status. */
static int
in_child (int (*act) (void))
{
  pid_t pid = fork ();
  int status;

  if (pid == 0)
    _exit (act ());
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  return status;
}

/* The number of the first thing that can be done though it must not. */
static int
try_everything (void)
{
  char byte = 1, taken;
  const struct iovec here = { &taken, 1 }, there = { &byte, 1 };
  char *const words[] = { "/bin/true", NULL };
  pid_t parent = getppid ();

  if (!cm_confine_resources () || !cm_confine_calls ())
    return 100;
  /* Those below would tell a test that they work by ending it. */
  if (kill (parent, 0) == 0)
    return 1;
  if (open ("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0)
    return 2;
  if (socket (AF_UNIX, SOCK_STREAM, 0) >= 0 || socket (AF_INET, SOCK_STREAM, 0) >= 0)
    return 3;
  if (process_vm_readv (parent, &here, 1, &there, 1, 0) >= 0)
    return 4;
  if (ptrace (PTRACE_ATTACH, parent, NULL, NULL) == 0)
    return 5;
  if (unlink ("/nowhere") == 0 || errno == ENOENT)
    return 6;
  if (fork () >= 0)
    return 7;
  if (execv (words[0], words) == 0 || errno != EPERM)
    return 8;
  if (prctl (PR_SET_PDEATHSIG, 0) == 0)
    return 9;
  const struct rlimit more = { 1000, 1000 };
  if (setrlimit (RLIMIT_NOFILE, &more) == 0)
    return 10;
  return 0;
}

static void
test_nothing_but_computing (void)
{
  if (SANITIZED) {
    g_test_skip ("the sanitizers need what is forbidden");
    return;
  }
  int status = in_child (try_everything);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, 0);
}

static gpointer
add_one (gpointer number)
{
  return GINT_TO_POINTER (GPOINTER_TO_INT (number) + 1);
}

/* Memory, a thread, and the descriptors that are there. */
static int
compute (void)
{
  int pipe_ends[2];

  if (pipe (pipe_ends) != 0 || !cm_confine_resources () || !cm_confine_calls ())
    return 100;
  g_autofree char *memory = g_malloc (32 << 20);
  memset (memory, 1, 32 << 20);
  if (write (pipe_ends[1], memory, 1) != 1)
    return 1;
  GThread *thread = g_thread_new ("one", add_one, GINT_TO_POINTER (1));
  return GPOINTER_TO_INT (g_thread_join (thread)) == 2 ? 0 : 2;
}

static void
test_computing (void)
{
  int status = in_child (compute);

  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, 0);
}

static int
take_all_memory (void)
{
  if (!cm_confine_resources ())
    return 100;
  return mmap (NULL, (gsize) 1 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
             ? 0
             : 1;
}

static void
test_memory (void)
{
  if (SANITIZED)
    g_test_skip ("the sanitizers map more than anybody may");
  else
    g_assert_cmpint (in_child (take_all_memory), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/confine/CVE-2024-53863/nothing-but-computing", test_nothing_but_computing);
  g_test_add_func ("/confine/computing", test_computing);
  g_test_add_func ("/confine/CVE-2021-29453/memory", test_memory);
  return g_test_run ();
}
