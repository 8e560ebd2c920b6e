/// The tables of the original server as SQL scripts, and the rows that its migrations leave in them.
///
/// Run in order, in one transaction, on an empty database, they make the tables that the original's own migrations make:
/// `Tests/Schemas/compare.py` holds the result against a catalogue of those. They do not look whether a table exists; where one does,
/// they fail. The files in `django/` are named after the tables. A table comes before those that refer to it; collections and items
/// refer to each other, so on PostgreSQL one reference is added when both are there.
enum DjangoTables {
    /// The scripts for SQLite. Each holds one statement or more, and none asks for a result.
    static func sqlite() -> [String] {
        [
            PackageResources.django_content_type_sqlite_sql,
            PackageResources.auth_permission_sqlite_sql,
            PackageResources.auth_group_sqlite_sql,
            PackageResources.auth_group_permissions_sqlite_sql,
            PackageResources.myauth_user_sqlite_sql,
            PackageResources.myauth_user_groups_sqlite_sql,
            PackageResources.myauth_user_user_permissions_sqlite_sql,
            PackageResources.django_admin_log_sqlite_sql,
            PackageResources.django_migrations_sqlite_sql,
            PackageResources.django_session_sqlite_sql,
            PackageResources.token_auth_authtoken_sqlite_sql,
            PackageResources.django_etebase_userinfo_sqlite_sql,
            PackageResources.django_etebase_stoken_sqlite_sql,
            PackageResources.django_etebase_collectiontype_sqlite_sql,
            PackageResources.django_etebase_collection_sqlite_sql,
            PackageResources.django_etebase_collectionitem_sqlite_sql,
            PackageResources.django_etebase_collectionitemrevision_sqlite_sql,
            PackageResources.django_etebase_collectionitemchunk_sqlite_sql,
            PackageResources.django_etebase_revisionchunkrelation_sqlite_sql,
            PackageResources.django_etebase_collectionmember_sqlite_sql,
            PackageResources.django_etebase_collectionmemberremoved_sqlite_sql,
            PackageResources.django_etebase_collectioninvitation_sqlite_sql,
            PackageResources.rows_sqlite_sql,
        ].map(Schema.text)
    }

    /// The scripts for PostgreSQL. Each holds one statement or more, and none asks for a result.
    ///
    /// Ids and what refers to them are `bigint` here, where the original has `integer`.
    static func postgres() -> [String] {
        [
            PackageResources.django_content_type_postgres_sql,
            PackageResources.auth_permission_postgres_sql,
            PackageResources.auth_group_postgres_sql,
            PackageResources.auth_group_permissions_postgres_sql,
            PackageResources.myauth_user_postgres_sql,
            PackageResources.myauth_user_groups_postgres_sql,
            PackageResources.myauth_user_user_permissions_postgres_sql,
            PackageResources.django_admin_log_postgres_sql,
            PackageResources.django_migrations_postgres_sql,
            PackageResources.django_session_postgres_sql,
            PackageResources.token_auth_authtoken_postgres_sql,
            PackageResources.django_etebase_userinfo_postgres_sql,
            PackageResources.django_etebase_stoken_postgres_sql,
            PackageResources.django_etebase_collectiontype_postgres_sql,
            PackageResources.django_etebase_collection_postgres_sql,
            PackageResources.django_etebase_collectionitem_postgres_sql,
            PackageResources.django_etebase_collectionitemrevision_postgres_sql,
            PackageResources.django_etebase_collectionitemchunk_postgres_sql,
            PackageResources.django_etebase_revisionchunkrelation_postgres_sql,
            PackageResources.django_etebase_collectionmember_postgres_sql,
            PackageResources.django_etebase_collectionmemberremoved_postgres_sql,
            PackageResources.django_etebase_collectioninvitation_postgres_sql,
            PackageResources.foreign_keys_postgres_sql,
            PackageResources.rows_postgres_sql,
        ].map(Schema.text)
    }
}
