#include "server/cli/cli.h"
#include "server/node.h"

int
cm_cli_migrate (const CmCommand *command, int argc, char **argv)
{
  g_autofree char *path = NULL;
  const GOptionEntry options[] = { CM_CLI_CONFIG (path), G_OPTION_ENTRY_NULL };
  if (!cm_cli_parse (command, options, &argc, &argv))
    return 2;
  g_autoptr (CmConfig) config = cm_cli_load_config (path);
  CmNode *node = config ? cm_cli_open_node (config) : NULL;
  if (!node)
    return 1;
  cm_node_stop (node);
  g_print ("The database of %s is up to date.\n", config->node.server_name);
  return 0;
}
