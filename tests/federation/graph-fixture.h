/* Hand-made auth graphs: events by name, numbered in the order in which they are added. */
#pragma once

#include "federation/state-res.h"
#include "fixture.h"

G_BEGIN_DECLS

typedef struct {
  const CmRoomVersion *version;
  GPtrArray *events; /* of CmEvent; number n at index n - 1 */
  GHashTable *names; /* name -> CmEvent */
  GHashTable *syms;  /* text -> symbol */
  guint fetches;
} Graph;

Graph *graph_new (const char *version);
void graph_free (Graph *graph);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Graph, graph_free)

/* Adds a state event. @auth: names of its auth events, separated by spaces; of those, CREATE is
 * left out in version 12.
 * @content: JSON with single quotes. */
CmEvent *graph_add (Graph *graph, const char *name, const char *sender, const char *type,
                    const char *state_key, const char *content, gint64 timestamp, const char *auth);

/* The state that the named events make. */
CmStateMap *graph_state (Graph *graph, const char *names);
CmEventSource graph_source (Graph *graph);
guint32 graph_sym (Graph *graph, const char *text);

/* Resolves @states in every rotation of their order and asserts that the state is each time that of
 * @expected. */
void
graph_assert_resolves (Graph *graph, const char *const *states, gsize count, const char *expected);

G_END_DECLS
