#include "server/participant/control.h"

#include "crypto/json-writer.h"
#include "server/participant/participant.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_CONNECTIONS 16
#define MAX_RECALL      1000

struct _CmControl {
  CmNode *node;
  char *path;
  GSocketService *service;
  GCancellable *stop;
  GMainContext *context;
  gint stopping; /* atomic */
  GThread *thread;
};

/* One connection, on a thread of its own. */
typedef struct {
  CmControl *control;
  GOutputStream *out;
  GMutex lock; /* guards what follows: lines are written by this thread and the participant's */
  gboolean broken;
  GHashTable *recalled; /* set of lines: what is recalled may be heard as well */
  GPtrArray *held;      /* of lines heard meanwhile, which come after it; NULL: no more */
} Caller;

/* (transfer full) */
static char *
line_of (CmJsonWriter *writer)
{
  g_autofree char *text = cm_json_writer_end_text (writer);

  return g_strconcat (text, "\n", NULL);
}

/* Caller holds the lock. */
static void
write_line (Caller *caller, const char *line)
{
  if (!caller->broken)
    caller->broken = !g_output_stream_write_all (caller->out, line, strlen (line), NULL,
                                                 caller->control->stop, NULL);
}

/* Ends @writer and sends it as a line. */
static void
send_line (Caller *caller, CmJsonWriter *writer)
{
  g_autofree char *line = line_of (writer);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&caller->lock);

  write_line (caller, line);
}

static void
send_error (Caller *caller, const GError *error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "error", error->message);
  cm_json_close (writer);
  send_line (caller, writer);
}

/* (transfer full) */
static char *
line_of_heard (const CmHeard *heard)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "room_id", heard->room_id);
  cm_json_put_text (writer, "event_id", heard->event_id);
  cm_json_put_text (writer, "sender", heard->sender);
  cm_json_put_text (writer, "type", heard->type);
  cm_json_put_node (writer, "content", heard->content);
  cm_json_put_text (writer, "problem", heard->problem);
  cm_json_put_boolean (writer, "encrypted", heard->encrypted);
  cm_json_put_boolean (writer, "own", heard->own);
  cm_json_close (writer);
  return line_of (writer);
}

static void
send_recalled (const CmHeard *heard, gpointer data)
{
  Caller *caller = data;
  g_autofree char *line = line_of_heard (heard);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&caller->lock);

  write_line (caller, line);
  g_hash_table_add (caller->recalled, g_steal_pointer (&line));
}

static void
send_heard (const CmHeard *heard, gpointer data)
{
  Caller *caller = data;
  g_autofree char *line = line_of_heard (heard);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&caller->lock);

  if (caller->held != NULL)
    g_ptr_array_add (caller->held, g_steal_pointer (&line));
  else if (!g_hash_table_remove (caller->recalled, line))
    write_line (caller, line);
}

/* What was heard during the recall, and not recalled. */
static void
send_held (Caller *caller)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&caller->lock);
  g_autoptr (GPtrArray) held = g_steal_pointer (&caller->held);

  for (guint i = 0; i < held->len; i++) {
    if (!g_hash_table_remove (caller->recalled, held->pdata[i]))
      write_line (caller, held->pdata[i]);
  }
}

static gboolean
say (Caller *caller, const CmJson *command, GError **error)
{
  CmParticipant *participant = caller->control->node->participant;
  const char *text = cm_json_get_text (command, "text");
  const char *room = cm_json_get_text (command, "room");

  if (text == NULL || room == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "room and text are needed");
    return FALSE;
  }
  g_autofree char *room_id = cm_participant_join (participant, room, error);
  g_autofree char *event_id =
      room_id != NULL ? cm_participant_say (participant, room_id, text, error) : NULL;
  if (event_id == NULL)
    return FALSE;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "event_id", event_id);
  cm_json_put_text (writer, "room_id", room_id);
  cm_json_close (writer);
  send_line (caller, writer);
  return TRUE;
}

/* Until the caller hangs up. */
static void
wait_for_end (Caller *caller, GInputStream *in)
{
  char ignored[64];

  while (g_input_stream_read (in, ignored, sizeof ignored, caller->control->stop, NULL) > 0)
    continue;
}

static gboolean
listen_to (Caller *caller, const CmJson *command, GInputStream *in, GError **error)
{
  CmParticipant *participant = caller->control->node->participant;
  const char *room = cm_json_get_text (command, "room");
  gint64 last = CLAMP (cm_json_get_integer (command, "last", 0), 0, MAX_RECALL);

  if (room == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "room is needed");
    return FALSE;
  }
  g_autofree char *room_id = cm_participant_join (participant, room, error);
  if (room_id == NULL)
    return FALSE;
  g_autoptr (GHashTable) lines = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  caller->recalled = lines;
  caller->held = g_ptr_array_new_with_free_func (g_free);
  guint handle = cm_participant_listen (participant, room_id, send_heard, caller);
  gboolean recalled =
      cm_participant_recall (participant, room_id, (guint) last, send_recalled, caller, error);
  send_held (caller);
  if (recalled)
    wait_for_end (caller, in);
  cm_participant_unlisten (participant, handle);
  return recalled;
}

static gboolean
obey (Caller *caller, const char *line, GInputStream *in, GError **error)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse_object (line, strlen (line), error);
  const CmJson *command = cm_json_doc_root (doc);
  const char *name = cm_json_get_text (command, "command");

  if (doc == NULL)
    return FALSE;
  if (caller->control->node->participant == NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "This node has no participant");
  else if (g_strcmp0 (name, "say") == 0)
    return say (caller, command, error);
  else if (g_strcmp0 (name, "listen") == 0)
    return listen_to (caller, command, in, error);
  else
    g_set_error (error, CM_ERROR, CM_ERROR_UNRECOGNIZED, "There is no such command");
  return FALSE;
}

static gboolean
serve_connection (GThreadedSocketService *service, GSocketConnection *connection, GObject *source,
                  gpointer data)
{
  Caller caller = { .control = data,
                    .out = g_io_stream_get_output_stream (G_IO_STREAM (connection)) };
  GInputStream *in = g_io_stream_get_input_stream (G_IO_STREAM (connection));
  g_autoptr (GDataInputStream) lines = g_data_input_stream_new (in);
  g_autoptr (GError) error = NULL;

  g_mutex_init (&caller.lock);
  g_filter_input_stream_set_close_base_stream (G_FILTER_INPUT_STREAM (lines), FALSE);
  g_autofree char *line =
      g_data_input_stream_read_line_utf8 (lines, NULL, caller.control->stop, NULL);
  if (line != NULL && !obey (&caller, line, in, &error) && error != NULL)
    send_error (&caller, error);
  g_mutex_clear (&caller.lock);
  return TRUE;
}

static gpointer
run (gpointer data)
{
  CmControl *control = data;

  g_main_context_push_thread_default (control->context);
  /* A GMainLoop could be told to quit before it runs, and would then run for ever. */
  while (!g_atomic_int_get (&control->stopping))
    g_main_context_iteration (control->context, TRUE);
  g_main_context_pop_thread_default (control->context);
  return NULL;
}

static gboolean
open_socket (CmControl *control, GError **error)
{
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (control->path);

  /* Of a node that was killed: the data directory's lock says that none is running. */
  g_unlink (control->path);
  if (!g_socket_listener_add_address (G_SOCKET_LISTENER (control->service), address,
                                      G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL,
                                      error))
    return FALSE;
  if (g_chmod (control->path, 0600) == 0)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "The control socket cannot be protected");
  return FALSE;
}

CmControl *
cm_control_new (CmNode *node, const char *path, GError **error)
{
  CmControl *control = g_new0 (CmControl, 1);

  control->node = node;
  control->path = g_strdup (path);
  control->stop = g_cancellable_new ();
  control->context = g_main_context_new ();
  g_main_context_push_thread_default (control->context);
  control->service = g_threaded_socket_service_new (MAX_CONNECTIONS);
  g_signal_connect (control->service, "run", G_CALLBACK (serve_connection), control);
  gboolean open = open_socket (control, error);
  g_main_context_pop_thread_default (control->context);
  if (!open) {
    cm_control_free (control);
    return NULL;
  }
  g_socket_service_start (control->service);
  control->thread = g_thread_new ("control", run, control);
  return control;
}

void
cm_control_free (CmControl *control)
{
  if (control == NULL)
    return;
  g_cancellable_cancel (control->stop);
  g_socket_service_stop (control->service);
  g_atomic_int_set (&control->stopping, TRUE);
  g_main_context_wakeup (control->context);
  if (control->thread != NULL)
    g_thread_join (control->thread);
  g_socket_listener_close (G_SOCKET_LISTENER (control->service));
  g_unlink (control->path);
  g_object_unref (control->service);
  g_main_context_unref (control->context);
  g_object_unref (control->stop);
  g_free (control->path);
  g_free (control);
}
