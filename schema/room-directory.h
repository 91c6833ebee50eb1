/* Names of rooms: local aliases, and which rooms the public directory lists. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* Adds the alias to @write; the write fails with CM_ERROR_CONFLICT when it is taken. */
void cm_alias_add (CmWrite *write, const char *alias, gint64 room, const char *creator);

typedef struct {
  char *room_id;
  char *creator;
} CmAlias;

void cm_alias_free (CmAlias *alias);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmAlias, cm_alias_free)

/* The same at once; CM_ERROR_CONFLICT when it is taken. */
gboolean
cm_alias_create (CmDb *db, const char *alias, gint64 room, const char *creator, GError **error);

/* (transfer full) NULL without @error when there is no such alias. */
CmAlias *cm_alias_find (CmDb *db, const char *alias, GError **error);
/* (transfer full) the local aliases of a room. */
char **cm_aliases_of (CmDb *db, gint64 room, GError **error);
gboolean cm_alias_delete (CmDb *db, const char *alias, GError **error);
/* Hands the local aliases of one room to another (room upgrades). */
void cm_aliases_move (CmWrite *write, gint64 from, gint64 to);

void cm_room_set_listed (CmWrite *write, gint64 room, gboolean listed);
gboolean cm_room_is_listed (CmDb *db, gint64 room, gboolean *listed, GError **error);

/* (transfer full) the ids of the listed rooms that somebody is in, those with most members first.
 */
char **cm_rooms_listed (CmDb *db, GError **error);

G_END_DECLS
