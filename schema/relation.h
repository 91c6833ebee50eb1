/* The index of relations between events. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* Adds to @write that event number @child relates to event id @parent. @key: of an annotation,
 * nullable. */
void cm_relation_add (CmWrite *write, gint64 child, gint64 room, const char *parent,
                      const char *rel_type, const char *key);

/* Whether @sender has said @key about @parent in an event of @type that still stands. */
gboolean
cm_relation_is_annotated (CmDb *db, const char *parent, const char *key, const char *sender,
                          const char *type, gboolean *annotated, GError **error);

/* A page of what relates to an event. Positions are cuts: everything up to and including one lies
 * before it. */
typedef struct {
  gint64 room;
  const char *parent;
  const char *rel_type; /* nullable */
  gint64 type;          /* sym; 0: any */
  gint64 from, to;      /* where to start, and where to stop at the latest */
  gboolean backwards;
  gint64 depth; /* 1: only what relates to the parent itself */
  gint64 limit;
} CmRelationQuery;

/* One row of a page. */
typedef struct {
  gint64 event; /* number */
  gint64 position;
} CmRelated;

/* (transfer full) of CmRelated. Redacted, rejected and soft-failed children are left out. */
GArray *cm_relation_children (CmDb *db, const CmRelationQuery *query, GError **error);

/* (transfer full) of CmRelated: the roots of the room's threads with the position of the newest
 * event in each, newest first, those that are at or before @until. @participant: sym, 0: all. */
GArray *cm_relation_threads (CmDb *db, gint64 room, gint64 until, gint64 participant, gint64 limit,
                             GError **error);

/* What is bundled with one parent. */
typedef struct {
  gint64 replacement;   /* number of the latest edit by the parent's own sender, 0: none */
  gint64 thread_latest; /* number of the thread's newest event, 0: no thread */
  gint64 thread_count;
  gboolean participated; /* the viewer wrote in the thread */
  char **references;     /* event ids, NULL: none */
} CmRelations;

void cm_relations_free (CmRelations *relations);

/* Whose view of relations is asked for. */
typedef struct {
  gint64 user;     /* sym, 0: nobody */
  GArray *rooms;   /* of gint64: the rooms that the parents are in */
  GArray *until;   /* of gint64: the last position in each that he may see */
  GArray *ignored; /* of gint64: syms of senders; nullable */
} CmRelationView;

/* Of the parents @numbers (of gint64), without redacted, rejected and soft-failed children:
 * (transfer full) parent's number (gint64*) -> CmRelations. */
GHashTable *cm_relations_of (CmDb *db, GArray *numbers, const CmRelationView *view, GError **error);

G_END_DECLS
