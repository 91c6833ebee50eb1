#include "server/privileges.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_FREE_PORT 1024

static gboolean
refuse (GError **error, const char *what, int number)
{
  g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "%s: %s", what, g_strerror (number));
  return FALSE;
}

static gboolean
needs_low_ports (const CmConfig *config)
{
  for (gsize i = 0; i < config->n_listeners; i++) {
    if (config->listeners[i].port < FIRST_FREE_PORT)
      return TRUE;
  }
  return FALSE;
}

static gboolean
refuse_data_dir (GError **error, const CmConfig *config, int number)
{
  const struct passwd *user = getpwuid (geteuid ());
  g_set_error (
      error, CM_ERROR, CM_ERROR_CONFIG,
      "[node] data_dir: user '%s' cannot use %s: %s. It must belong to that user, who must "
      "be let through the folders above it",
      user ? user->pw_name : "?", config->node.data_dir, g_strerror (number));
  return FALSE;
}

/* Only a directory that we made is handed over: what is there already may belong to somebody else.
 */
static gboolean
make_data_dir (const CmConfig *config, const struct passwd *user, GError **error)
{
  const char *dir = config->node.data_dir;
  if (g_file_test (dir, G_FILE_TEST_EXISTS))
    return TRUE;
  if (g_mkdir_with_parents (dir, 0700) != 0)
    return refuse (error, "[node] data_dir", errno);
  if (user && chown (dir, user->pw_uid, user->pw_gid) != 0)
    return refuse (error, "[node] data_dir", errno);
  return TRUE;
}

/* Of all that root could do, binding low ports is left. Threads inherit it, programs that are run
 * do not. */
static gboolean
keep_bind_service (void)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
  data[0].permitted = data[0].effective = 1u << CAP_NET_BIND_SERVICE;
  return syscall (SYS_capset, &header, data) == 0;
}

static gboolean
become (const CmConfig *config, const struct passwd *user, GError **error)
{
  gboolean low_ports = needs_low_ports (config);
  if (low_ports && prctl (PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
    return refuse (error, "cannot keep the right to bind low ports", errno);
  if (initgroups (user->pw_name, user->pw_gid) != 0 || setgid (user->pw_gid) != 0 ||
      setuid (user->pw_uid) != 0)
    return refuse (error, "cannot become [node] user", errno);
  if (low_ports && !keep_bind_service ())
    return refuse (error, "cannot keep the right to bind low ports", errno);
  if (setuid (0) == 0)
    return refuse (error, "[node] user is root", EPERM);
  return TRUE;
}

gboolean
cm_privileges_drop (const CmConfig *config, GError **error)
{
  const char *name = config->node.user;
  const struct passwd *user = name ? getpwnam (name) : NULL;
  if (name && !user) {
    g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "[node] user: there is no user '%s'", name);
    return FALSE;
  }
  if (geteuid () == 0 && !user) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_CONFIG,
                         "[node] user: root may not serve; name the user to become");
    return FALSE;
  }
  if (geteuid () != 0 && user && user->pw_uid != geteuid ()) {
    g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "[node] user: only root can become '%s'", name);
    return FALSE;
  }
  if (!make_data_dir (config, user, error))
    return FALSE;
  if (geteuid () == 0 && !become (config, user, error))
    return FALSE;
  /* Where we were started may be out of bounds for the user that we are now, and PostgreSQL asks.
   */
  if (g_access (config->node.data_dir, R_OK | W_OK | X_OK) != 0 ||
      g_chdir (config->node.data_dir) != 0)
    return refuse_data_dir (error, config, errno);
  prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return TRUE;
}

void
cm_privileges_raise_files (void)
{
  struct rlimit limit;
  if (getrlimit (RLIMIT_NOFILE, &limit) != 0)
    return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit (RLIMIT_NOFILE, &limit) != 0)
    g_warning ("Cannot raise the limit of open files: %s", g_strerror (errno));
}
