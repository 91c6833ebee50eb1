/* A write: statements that are committed as one, made in advance without touching the database, so
 * that the committer can put what everybody has queued into one transaction and may run a write a
 * second time on its own when its batch failed. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

typedef struct _CmWrite CmWrite;

CmWrite *cm_write_new (void);
void cm_write_free (CmWrite *write);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmWrite, cm_write_free)

/* Adds one statement; parameters are copied. CM_POSITION (n) stands for the n-th stream position of
 * this write. */
void cm_write_add (CmWrite *write, const CmSql *sql, const CmParam *params, gsize n_params);
/* As cm_write_add; the write fails with CM_ERROR_CONFLICT when the statement touches no row (a
 * fence, or "insert on conflict do nothing" that must be the first). */
void cm_write_add_fenced (CmWrite *write, const CmSql *sql, const CmParam *params, gsize n_params);
/* How many stream positions this write needs; 0 unless asked. Returns the offset of the first of
 * the @count new ones. */
gint64 cm_write_take_positions (CmWrite *write, gint64 count);
gint64 cm_write_positions (const CmWrite *write);

/* What the write concerns, told to the committer's listener once it is published: wake-ups, never
 * data. */
typedef enum {
  CM_TOPIC_USER, /* a user id: account data, to-device messages, invites, device lists, ... */
  CM_TOPIC_ROOM, /* a room id: events, receipts, typing */
} CmTopicKind;
void cm_write_topic (CmWrite *write, CmTopicKind kind, const char *name);
typedef void (*CmTopicFunc) (CmTopicKind kind, const char *name, gpointer data);
void cm_write_foreach_topic (const CmWrite *write, CmTopicFunc func, gpointer data);

/* An object that rides along to the listener, e.g. the room events that were written (freed with
 * the write). */
void cm_write_attach (CmWrite *write, const char *kind, gpointer object, GDestroyNotify destroy);
gpointer cm_write_attached (const CmWrite *write, const char *kind);
/* For each of several of the same kind, in order. */
typedef void (*CmAttachedFunc) (gpointer object, gpointer data);
void cm_write_foreach_attached (const CmWrite *write, const char *kind, CmAttachedFunc func,
                                gpointer data);

G_END_DECLS
