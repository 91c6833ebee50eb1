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

/* What is bundled with one parent. */
typedef struct {
  gint64 replacement;   /* number of the latest edit by the parent's own sender, 0: none */
  gint64 thread_latest; /* number of the thread's newest event, 0: no thread */
  gint64 thread_count;
  gboolean participated; /* the viewer wrote in the thread */
  char **references;     /* event ids, NULL: none */
} CmRelations;

void cm_relations_free (CmRelations *relations);

/* Of the parents @numbers (of gint64), without redacted, rejected and soft-failed children and
 * those of @ignored senders (syms): (transfer full) parent's number (gint64*) -> CmRelations.
 * @viewer: sym, 0: nobody. */
GHashTable *
cm_relations_of (CmDb *db, GArray *numbers, gint64 viewer, GArray *ignored, GError **error);

G_END_DECLS
