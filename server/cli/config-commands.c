#include "server/cli/cli.h"

#include "crypto/id.h"

int
cm_cli_check_config (const CmCommand *command, int argc, char **argv)
{
  g_autofree char *path = NULL;
  const GOptionEntry options[] = { CM_CLI_CONFIG (path), G_OPTION_ENTRY_NULL };
  if (!cm_cli_parse (command, options, &argc, &argv))
    return 2;
  g_autoptr (CmConfig) config = cm_cli_load_config (path);
  if (!config)
    return 1;
  g_autoptr (GPtrArray) unheeded = cm_config_unheeded (config);
  for (guint i = 0; i < unheeded->len; i++)
    g_print ("without effect: %s\n", (const char *) g_ptr_array_index (unheeded, i));
  g_autoptr (GPtrArray) weaknesses = cm_config_weaknesses (config);
  for (guint i = 0; i < weaknesses->len; i++)
    g_print ("weak: %s\n", (const char *) g_ptr_array_index (weaknesses, i));
  g_print ("The configuration of %s is in order.\n", config->node.server_name);
  return 0;
}

int
cm_cli_generate_config (const CmCommand *command, int argc, char **argv)
{
  g_autofree char *server_name = NULL;
  g_autofree char *data_dir = NULL;
  const GOptionEntry options[] = {
    { "server-name", 0, 0, G_OPTION_ARG_STRING, &server_name,
      "What stands after the colon in user ids", "NAME" },
    { "data-dir", 0, 0, G_OPTION_ARG_FILENAME, &data_dir, "Where the node keeps everything",
      "DIR" },
    G_OPTION_ENTRY_NULL,
  };
  if (!cm_cli_parse (command, options, &argc, &argv))
    return 2;
  if (!server_name || !data_dir) {
    cm_cli_fail ("generate-config needs --server-name NAME and --data-dir DIR");
    return 2;
  }
  if (!cm_id_is_server_name (server_name))
    return cm_cli_fail ("--server-name: that is not a server name, such as acme.example");
  g_autofree char *absolute = g_canonicalize_filename (data_dir, NULL);
  if (!g_utf8_validate (absolute, -1, NULL))
    return cm_cli_fail ("--data-dir: the path must be UTF-8");
  g_autofree char *text = cm_config_generate (server_name, absolute);
  g_print ("%s", text);
  return 0;
}
