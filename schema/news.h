/* What another process did to the database, told by PostgreSQL's NOTIFY: the command line beside a
 * running node, or another node. For what is rare and must not wait until somebody looks; it is a
 * hint to look, never data to rely on. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

typedef struct _CmNews CmNews;

/* @text: what was told; NULL when the connection was lost and is there again, so that anything may
 * have been missed. Runs on a thread of its own. */
typedef void (*CmNewsFunc) (const char *text, gpointer data);

/* Listens to @channel (a plain identifier) until freed, through a connection of its own that is
 * made again when it breaks. */
CmNews *cm_news_new (CmPool *pool, const char *channel, CmNewsFunc func, gpointer data);
void cm_news_free (CmNews *news);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmNews, cm_news_free)

/* Tells all who listen to @channel, once the transaction is committed. */
gboolean cm_news_tell (CmDb *db, const char *channel, const char *text, GError **error);

G_END_DECLS
