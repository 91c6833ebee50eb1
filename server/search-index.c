#include "server/search-index.h"

#include "schema/search.h"

#include <string.h>

/* client-server, POST /search, "keys". */
static const struct {
  const char *type;
  const char *member;
  const char *key;
} indexed[] = {
  { "m.room.message", "body", "content.body" },
  { "m.room.name", "name", "content.name" },
  { "m.room.topic", "topic", "content.topic" },
};

void
cm_search_index_event_added (CmWrite *write, const CmEvent *event)
{
  for (gsize i = 0; i < G_N_ELEMENTS (indexed); i++) {
    if (strcmp (event->type, indexed[i].type) != 0)
      continue;
    const char *text = cm_json_get_text (event->content, indexed[i].member);
    if (text != NULL && text[0] != '\0')
      cm_search_add (write, event->number, event->room_sym, indexed[i].key, text);
  }
}
