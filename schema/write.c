#include "schema/write-private.h"

#include <string.h>

typedef struct {
  CmTopicKind kind;
  char *name;
} Topic;

typedef struct {
  const char *kind;
  gpointer object;
  GDestroyNotify destroy;
} Attachment;

static void
clear_statement (gpointer data)
{
  CmStatement *statement = data;
  g_free (statement->args);
}

static void
clear_topic (gpointer data)
{
  Topic *topic = data;
  g_free (topic->name);
}

static void
clear_attachment (gpointer data)
{
  Attachment *attachment = data;
  if (attachment->destroy != NULL)
    attachment->destroy (attachment->object);
}

static GArray *
new_array (guint size, GDestroyNotify clear)
{
  GArray *array = g_array_new (FALSE, FALSE, size);
  g_array_set_clear_func (array, clear);
  return array;
}

CmWrite *
cm_write_new (void)
{
  CmWrite *write = g_new0 (CmWrite, 1);
  write->statements = new_array (sizeof (CmStatement), clear_statement);
  write->topics = new_array (sizeof (Topic), clear_topic);
  write->attachments = new_array (sizeof (Attachment), clear_attachment);
  return write;
}

void
cm_write_free (CmWrite *write)
{
  if (write == NULL)
    return;
  g_array_unref (write->statements);
  g_array_unref (write->topics);
  g_array_unref (write->attachments);
  g_clear_error (&write->error);
  g_free (write);
}

/* Encoding happens here, on the caller's thread: the committer's only sends. */
static void
add (CmWrite *write, const CmSql *sql, const CmParam *params, gsize n_params, gboolean fenced)
{
  if (write->error != NULL)
    return;
  CmArgs *args = cm_args_new (params, n_params, TRUE, &write->error);
  if (args == NULL)
    return;
  CmStatement statement = { sql, args, fenced };
  g_array_append_val (write->statements, statement);
  write->fenced |= fenced;
  write->size += args->size;
}

void
cm_write_add (CmWrite *write, const CmSql *sql, const CmParam *params, gsize n_params)
{
  add (write, sql, params, n_params, FALSE);
}

void
cm_write_add_fenced (CmWrite *write, const CmSql *sql, const CmParam *params, gsize n_params)
{
  add (write, sql, params, n_params, TRUE);
}

gint64
cm_write_take_positions (CmWrite *write, gint64 count)
{
  g_return_val_if_fail (count >= 0, 0);
  gint64 first = write->positions;
  write->positions += count;
  return first;
}

gint64
cm_write_positions (const CmWrite *write)
{
  return write->positions;
}

void
cm_write_topic (CmWrite *write, CmTopicKind kind, const char *name)
{
  Topic topic = { kind, g_strdup (name) };
  g_array_append_val (write->topics, topic);
}

void
cm_write_foreach_topic (const CmWrite *write, CmTopicFunc func, gpointer data)
{
  for (guint i = 0; i < write->topics->len; i++) {
    const Topic *topic = &g_array_index (write->topics, Topic, i);
    func (topic->kind, topic->name, data);
  }
}

void
cm_write_attach (CmWrite *write, const char *kind, gpointer object, GDestroyNotify destroy)
{
  Attachment attachment = { kind, object, destroy };
  g_array_append_val (write->attachments, attachment);
}

gpointer
cm_write_attached (const CmWrite *write, const char *kind)
{
  for (guint i = 0; i < write->attachments->len; i++) {
    const Attachment *attachment = &g_array_index (write->attachments, Attachment, i);
    if (strcmp (attachment->kind, kind) == 0)
      return attachment->object;
  }
  return NULL;
}

void
cm_write_foreach_attached (const CmWrite *write, const char *kind, CmAttachedFunc func,
                           gpointer data)
{
  for (guint i = 0; i < write->attachments->len; i++) {
    const Attachment *attachment = &g_array_index (write->attachments, Attachment, i);
    if (strcmp (attachment->kind, kind) == 0)
      func (attachment->object, data);
  }
}
