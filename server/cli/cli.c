#include "server/cli/cli.h"

#include "server/node.h"
#include "server/privileges.h"

#include <string.h>

static const CmCommand *
find (const CmCommand *commands, const char *name)
{
  for (const CmCommand *command = commands; command->name; command++) {
    if (strcmp (command->name, name) == 0)
      return command;
  }
  return NULL;
}

void
cm_cli_usage (const char *name, const CmCommand *commands)
{
  g_print ("Usage: %s COMMAND [OPTION...]\n\nCommands:\n", name);
  for (const CmCommand *command = commands; command->name; command++) {
    if (command->summary)
      g_print ("  %-16s %s\n", command->name, command->summary);
  }
  g_print ("\n%s COMMAND --help tells more.\n", name);
}

int
cm_cli_dispatch (const char *name, const CmCommand *commands, int argc, char **argv)
{
  if (argc < 2) {
    cm_cli_usage (name, commands);
    return 2;
  }
  const CmCommand *command = find (commands, argv[1]);
  if (command) {
    g_autofree char *full_name = g_strconcat (name, " ", argv[1], NULL);
    g_set_prgname (full_name); /* which the usage and complaints about options begin with */
    return command->run (command, argc - 1, argv + 1);
  }
  if (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0) {
    cm_cli_usage (name, commands);
    return 0;
  }
  g_printerr ("%s: there is no command '%s'; '%s help' lists those there are\n", name, argv[1],
              name);
  return 2;
}

gboolean
cm_cli_parse (const CmCommand *command, const GOptionEntry *options, int *argc, char ***argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GOptionContext) context = g_option_context_new (command->arguments);
  g_option_context_set_summary (context, command->summary);
  g_option_context_add_main_entries (context, options, NULL);
  gboolean parsed = g_option_context_parse (context, argc, argv, &error);
  if (parsed && (*argc == 1 || command->arguments[0] != '\0'))
    return TRUE;
  if (parsed)
    g_printerr ("%s: '%s' is no option, and nothing else is taken\n", g_get_prgname (), (*argv)[1]);
  else
    g_printerr ("%s: %s\n", g_get_prgname (), error->message);
  g_printerr ("'%s --help' tells more.\n", g_get_prgname ());
  return FALSE;
}

CmConfig *
cm_cli_load_config (const char *path)
{
  g_autoptr (GError) error = NULL;
  if (!path)
    path = CM_CLI_DEFAULT_CONFIG;
  CmConfig *config = cm_config_load (path, &error);
  if (config)
    return config;
  g_auto (GStrv) lines = g_strsplit (error->message, "\n", -1);
  for (gsize i = 0; lines[i]; i++)
    g_printerr ("comity: %s: %s\n", path, lines[i]);
  return NULL;
}

int
cm_cli_fail (const char *message)
{
  g_auto (GStrv) lines = g_strsplit (message, "\n", -1);
  for (gsize i = 0; lines[i]; i++)
    g_printerr ("comity: %s\n", lines[i]);
  return 1;
}

CmNode *
cm_cli_open_node (const CmConfig *config)
{
  g_autoptr (GError) error = NULL;
  cm_log_start (MIN (config->node.log_level, CM_LOG_WARNING));
  if (!cm_privileges_drop (config, &error)) {
    cm_cli_fail (error->message);
    return NULL;
  }
  CmNode *node = cm_node_start (config, CM_NODE_TOOL, NULL, &error);
  if (!node)
    cm_cli_fail (error->message);
  return node;
}
