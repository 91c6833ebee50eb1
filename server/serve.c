#include "server/serve.h"

#include "server/node.h"
#include "server/privileges.h"

#include <glib-unix.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static gboolean
on_stop_signal (gpointer stop)
{
  g_cancellable_cancel (stop);
  return G_SOURCE_CONTINUE;
}

static void
log_lines (const char *message)
{
  g_auto (GStrv) lines = g_strsplit (message, "\n", -1);
  for (gsize i = 0; lines[i]; i++)
    g_critical ("%s", lines[i]);
}

static void
warn_of_settings (const CmConfig *config)
{
  g_autoptr (GPtrArray) unheeded = cm_config_unheeded (config);
  for (guint i = 0; i < unheeded->len; i++)
    g_warning ("Without effect: %s", (const char *) g_ptr_array_index (unheeded, i));
  g_autoptr (GPtrArray) weaknesses = cm_config_weaknesses (config);
  for (guint i = 0; i < weaknesses->len; i++)
    g_warning ("Weak setting %s", (const char *) g_ptr_array_index (weaknesses, i));
}

int
cm_serve (const CmConfig *config)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GCancellable) stop = g_cancellable_new ();
  cm_log_start (config->node.log_level);
  signal (SIGPIPE, SIG_IGN);
  if (!cm_privileges_drop (config, &error)) {
    log_lines (error->message);
    return 1;
  }
  warn_of_settings (config);
  cm_privileges_raise_files ();

  /* From here on a signal is kept until this thread looks, so that a half-started node is taken
   * down in order. */
  g_unix_signal_add (SIGTERM, on_stop_signal, stop);
  g_unix_signal_add (SIGINT, on_stop_signal, stop);
  CmNode *node = cm_node_start (config, CM_NODE_SERVE, stop, &error);
  if (!node) {
    log_lines (error->message);
    return g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) ? 0 : 1;
  }
  g_message ("Node %s is ready", node->server_name);
  sd_notify (0, "READY=1");
  while (!g_cancellable_is_cancelled (stop))
    g_main_context_iteration (NULL, TRUE);
  g_message ("Node %s is stopping", node->server_name);
  sd_notify (0, "STOPPING=1");
  /* What runs at a usual end would pull the ground from under the thread that hangs. */
  if (!cm_node_stop (node))
    _exit (0);
  return 0;
}
