/* comity say, comity listen: what the running node's participant says and hears, through its
 * control socket. */
#include "server/cli/cli.h"

#include "crypto/json-writer.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  char *config;
  char *room;
  gboolean json;
  int last;
  int count;
  int timeout;
} Options;

static GSocketConnection *
connect_to_node (const char *config_path)
{
  g_autoptr (CmConfig) config = cm_cli_load_config (config_path);
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GError) error = NULL;

  if (config == NULL)
    return NULL;
  g_autofree char *path = g_build_filename (config->node.data_dir, "control.sock", NULL);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  GSocketConnection *connection =
      g_socket_client_connect (client, G_SOCKET_CONNECTABLE (address), NULL, &error);
  if (connection == NULL) {
    g_autofree char *message = g_strdup_printf (
        "no running node answers (is it started, and may you use its data_dir?): %s: %s", path,
        error->message);
    cm_cli_fail (message);
  }
  return connection;
}

static gboolean
command_node (GSocketConnection *connection, CmJsonWriter *writer)
{
  g_autofree char *text = cm_json_writer_end_text (writer);
  g_autofree char *line = g_strconcat (text, "\n", NULL);
  GOutputStream *out = g_io_stream_get_output_stream (G_IO_STREAM (connection));

  return g_output_stream_write_all (out, line, strlen (line), NULL, NULL, NULL);
}

/* (transfer full) the next object that the node says; NULL at the end. */
static CmJsonDoc *
hear_node (GDataInputStream *lines)
{
  g_autofree char *line = g_data_input_stream_read_line_utf8 (lines, NULL, NULL, NULL);

  return line != NULL ? cm_json_parse_object (line, strlen (line), NULL) : NULL;
}

static CmJsonWriter *
open_command (const char *name, const Options *options)
{
  CmJsonWriter *writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "command", name);
  cm_json_put_text (writer, "room", options->room);
  return writer;
}

static void
options_clear (Options *options)
{
  g_free (options->config);
  g_free (options->room);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

static gboolean
need_room (const Options *options)
{
  return options->room != NULL || cm_cli_fail ("--room is needed") == 0;
}

/* Whatever others wrote is shown without what would command a terminal. */
static void
print_text (const char *text)
{
  for (const char *c = text; *c != '\0'; c = g_utf8_next_char (c)) {
    gunichar character = g_utf8_get_char (c);
    if (g_unichar_iscntrl (character) && character != '\n' && character != '\t')
      g_print ("\\u%04x", character);
    else
      g_print ("%.*s", (int) (g_utf8_next_char (c) - c), c);
  }
}

int
cm_cli_say (const CmCommand *command, int argc, char **argv)
{
  g_auto (Options) options = { 0 };
  const GOptionEntry entries[] = {
    CM_CLI_CONFIG (options.config),
    { "room", 'r', 0, G_OPTION_ARG_STRING, &options.room, "The room, by id or alias", "ROOM" },
    { "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "Print an object", NULL },
    G_OPTION_ENTRY_NULL,
  };

  if (!cm_cli_parse (command, entries, &argc, &argv) || !need_room (&options))
    return 2;
  if (argc < 2) {
    cm_cli_fail ("what should be said? TEXT is missing");
    return 2;
  }
  g_autoptr (GSocketConnection) connection = connect_to_node (options.config);
  if (connection == NULL)
    return 1;
  g_autofree char *text = g_strjoinv (" ", argv + 1);
  g_autoptr (CmJsonWriter) writer = open_command ("say", &options);
  cm_json_put_text (writer, "text", text);
  cm_json_close (writer);
  g_autoptr (GDataInputStream) lines =
      g_data_input_stream_new (g_io_stream_get_input_stream (G_IO_STREAM (connection)));
  g_autoptr (CmJsonDoc) answer = command_node (connection, writer) ? hear_node (lines) : NULL;
  const char *event_id = cm_json_get_text (cm_json_doc_root (answer), "event_id");
  const char *problem = cm_json_get_text (cm_json_doc_root (answer), "error");
  if (event_id == NULL)
    return cm_cli_fail (problem != NULL ? problem : "the node did not answer");
  if (options.json)
    g_print ("{\"event_id\":\"%s\"}\n", event_id);
  else
    g_print ("%s\n", event_id);
  return 0;
}

static void
print_heard (const CmJson *heard, gboolean json)
{
  const char *body = cm_json_get_text (cm_json_get (heard, "content"), "body");
  const char *problem = cm_json_get_text (heard, "problem");
  const char *sender = cm_json_get_text (heard, "sender");

  if (json) {
    g_autoptr (GBytes) line = cm_json_canonical (heard, NULL, NULL);
    gsize length;
    const char *text = line != NULL ? g_bytes_get_data (line, &length) : NULL;
    if (text != NULL)
      g_print ("%.*s\n", (int) length, text);
    return;
  }
  g_print ("%s ", cm_json_get_boolean (heard, "encrypted", FALSE) ? "[encrypted]" : "[plain]");
  print_text (sender != NULL ? sender : "?");
  g_print (": ");
  print_text (body != NULL ? body : problem != NULL ? problem : "(no text)");
  g_print ("\n");
}

/* Reading blocks; the process has nothing to tidy up. */
static gpointer
end_in_time (gpointer data)
{
  g_usleep ((gulong) GPOINTER_TO_INT (data) * G_USEC_PER_SEC);
  exit (3);
}

int
cm_cli_listen (const CmCommand *command, int argc, char **argv)
{
  g_auto (Options) options = { 0 };
  const GOptionEntry entries[] = {
    CM_CLI_CONFIG (options.config),
    { "room", 'r', 0, G_OPTION_ARG_STRING, &options.room, "The room, by id or alias", "ROOM" },
    { "last", 'n', 0, G_OPTION_ARG_INT, &options.last, "Begin with the last N messages", "N" },
    { "count", 0, 0, G_OPTION_ARG_INT, &options.count, "End after N messages of others", "N" },
    { "timeout", 0, 0, G_OPTION_ARG_INT, &options.timeout, "End after N seconds, with status 3",
      "N" },
    { "json", 0, 0, G_OPTION_ARG_NONE, &options.json, "Print an object a line", NULL },
    G_OPTION_ENTRY_NULL,
  };

  if (!cm_cli_parse (command, entries, &argc, &argv) || !need_room (&options))
    return 2;
  g_autoptr (GSocketConnection) connection = connect_to_node (options.config);
  if (connection == NULL)
    return 1;
  g_autoptr (CmJsonWriter) writer = open_command ("listen", &options);
  cm_json_put_integer (writer, "last", options.last);
  cm_json_close (writer);
  if (!command_node (connection, writer))
    return cm_cli_fail ("the node did not answer");
  if (options.timeout > 0)
    g_thread_unref (g_thread_new ("timeout", end_in_time, GINT_TO_POINTER (options.timeout)));
  g_autoptr (GDataInputStream) lines =
      g_data_input_stream_new (g_io_stream_get_input_stream (G_IO_STREAM (connection)));
  for (int heard = 0; options.count == 0 || heard < options.count;) {
    g_autoptr (CmJsonDoc) doc = hear_node (lines);
    const CmJson *line = cm_json_doc_root (doc);
    if (doc == NULL)
      return cm_cli_fail ("the node hung up");
    if (cm_json_get_text (line, "error") != NULL)
      return cm_cli_fail (cm_json_get_text (line, "error"));
    print_heard (line, options.json);
    if (!cm_json_get_boolean (line, "own", FALSE) && cm_json_get (line, "content") != NULL)
      heard++;
  }
  return 0;
}
