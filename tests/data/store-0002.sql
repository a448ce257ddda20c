BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE audit_head (
	id BIGINT NOT NULL, 
	seq BIGINT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "audit_head" VALUES(1,33,'ef8d78216b1ad8e4402f83d5f2ff528a85c9b0e2a0140ae1061770999a5e5f89');
CREATE TABLE counters (
	name TEXT NOT NULL, 
	value BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE events (
	seq BIGINT NOT NULL, 
	at BIGINT NOT NULL, 
	actor TEXT NOT NULL, 
	claimed_actor TEXT, 
	action TEXT NOT NULL, 
	reason TEXT, 
	detail TEXT NOT NULL, 
	previous_hash TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "events" VALUES(1,1767268800000,'tester@host','somebody','store.created',NULL,'{"settings":{"store_id":"08741a99a5246cf27983194fee6b338ddf48af66cfb89dab8333ab8201d595dc","created_at":"30778e02229efa7cb6b93f203a1c42af4633db67499bf5d037926247d8b026d1","profile":"4122179a8c9db167c51bdc602a8009fb52bd68861b5ad281bf5e7b2c1b0ff05f","hash":"665ca2b050bfea7e11349ad3c01b835997b0b4b9c66bce5cb3ed5b85525cd6ce"},"was":{"store_id":null,"created_at":null,"profile":null,"hash":null},"profile":"standard"}','0000000000000000000000000000000000000000000000000000000000000000','43ae84acad14969c1ccfee97a5e7d4c2deaa062612bd1f1c6e05b38a591a1c21');
INSERT INTO "events" VALUES(2,1767268800000,'tester@host','somebody','owner.added',NULL,'{"owner":{"id":"own_01KDWPVNG0CN76CD7ZDH5JC7FE","handle":"acme","set":{"handle":"acme","name":"Acme “Ltd” 🙂","kind":"account","parent_id":null,"plan":null,"attributes":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","disabled_at":null}}}','43ae84acad14969c1ccfee97a5e7d4c2deaa062612bd1f1c6e05b38a591a1c21','2d9dbc44af8045f73535c4d9382b159b059759a0e0104793799f86d2164e1d38');
INSERT INTO "events" VALUES(3,1767268800000,'tester@host','somebody','owner.added',NULL,'{"owner":{"id":"own_01KDWPVNG0BT1Q3PW0S8BED01X","handle":"acme-eu","set":{"handle":"acme-eu","name":null,"kind":"account","parent_id":"own_01KDWPVNG0CN76CD7ZDH5JC7FE","plan":null,"attributes":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","disabled_at":null}}}','2d9dbc44af8045f73535c4d9382b159b059759a0e0104793799f86d2164e1d38','1e9d4ad55cf62a73e8bd93ac102ab5c60bf149bd2c2ae4a713f1d67dfca0530e');
INSERT INTO "events" VALUES(4,1767268800000,'tester@host','somebody','owner.added',NULL,'{"owner":{"id":"own_01KDWPVNG0348PW8PD7NGG6TZ7","handle":"shut","set":{"handle":"shut","name":null,"kind":"account","parent_id":null,"plan":null,"attributes":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","disabled_at":null}}}','1e9d4ad55cf62a73e8bd93ac102ab5c60bf149bd2c2ae4a713f1d67dfca0530e','dccfe07be3280d38bd0ab7e18bdd215fcd155a265a6b3970f1b009e47e711788');
INSERT INTO "events" VALUES(5,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG040N3JJQ3GTY7PYQ5","prefix":"kc_live_jgAXawE3E3U8","hash":"12eedc483e2bc9a5a536b9615b0a4088a45b7813625250579530f601b13947bf"}],"set":{"name":null,"owner_id":null,"environment":"live","scopes":[],"allowed_ips":[],"metadata":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":null,"delivered_at":null,"expires_at":null,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":null,"replaced_by":null}}','dccfe07be3280d38bd0ab7e18bdd215fcd155a265a6b3970f1b009e47e711788','af3b042da1fa30fea15d17965ada7c64184b1d21331db52951cf0d30ce216d99');
INSERT INTO "events" VALUES(6,1767268800000,'tester@host','somebody','key.delivered',NULL,'{"keys":[{"id":"key_01KDWPVNG040N3JJQ3GTY7PYQ5","prefix":"kc_live_jgAXawE3E3U8","hash":"12eedc483e2bc9a5a536b9615b0a4088a45b7813625250579530f601b13947bf"}],"set":{"delivered_at":1767268800000}}','af3b042da1fa30fea15d17965ada7c64184b1d21331db52951cf0d30ce216d99','bd08a189aadc31a2fd8f9c6e0b07caa9392f013e38cfc025deef5b1afa084069');
INSERT INTO "events" VALUES(7,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG09DSNZQF8YR80394B","prefix":"kc_test_mK87boIXq2eP","hash":"00e86eaf21e693df5ad60fe34410622734818fc6ff4df4c92cec72a94ad8c30b"}],"set":{"name":"it''s; -- [bold]","owner_id":"own_01KDWPVNG0BT1Q3PW0S8BED01X","environment":"test","scopes":["write","read"],"allowed_ips":["192.0.2.0/24"],"metadata":{"team":"billing"},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":null,"delivered_at":null,"expires_at":null,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":null,"replaced_by":null}}','bd08a189aadc31a2fd8f9c6e0b07caa9392f013e38cfc025deef5b1afa084069','23ddfe200535e33a5e0d9d9def99a5a88e11622389d5cff377c451c03d005a5d');
INSERT INTO "events" VALUES(8,1767268800000,'tester@host','somebody','key.delivered',NULL,'{"keys":[{"id":"key_01KDWPVNG09DSNZQF8YR80394B","prefix":"kc_test_mK87boIXq2eP","hash":"00e86eaf21e693df5ad60fe34410622734818fc6ff4df4c92cec72a94ad8c30b"}],"set":{"delivered_at":1767268800000}}','23ddfe200535e33a5e0d9d9def99a5a88e11622389d5cff377c451c03d005a5d','07e9db53262153d31d8b3e6f26cdf352d967a49214ae8b6b833f86d8153b79db');
INSERT INTO "events" VALUES(9,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG08JCCZSGV4QY2SE1T","prefix":"kc_live_wN0M10pPoyN1","hash":"9c4f3a5d97c4ab19147704a93a5b0fa21ad83c16f4d684eaba1b1403cc75098b"}],"set":{"name":null,"owner_id":null,"environment":"live","scopes":[],"allowed_ips":[],"metadata":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":null,"delivered_at":null,"expires_at":null,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":null,"replaced_by":null}}','07e9db53262153d31d8b3e6f26cdf352d967a49214ae8b6b833f86d8153b79db','739a8f4cdf4ec668450b0a834fbd83457d530a0bd0040eb79fa2f124a0d526d2');
INSERT INTO "events" VALUES(10,1767268800000,'tester@host','somebody','key.delivered',NULL,'{"keys":[{"id":"key_01KDWPVNG08JCCZSGV4QY2SE1T","prefix":"kc_live_wN0M10pPoyN1","hash":"9c4f3a5d97c4ab19147704a93a5b0fa21ad83c16f4d684eaba1b1403cc75098b"}],"set":{"delivered_at":1767268800000}}','739a8f4cdf4ec668450b0a834fbd83457d530a0bd0040eb79fa2f124a0d526d2','6cd16c04880097f8b67df388802631987fabe5292ac931eb471a37648d8dab72');
INSERT INTO "events" VALUES(11,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG04WDQYBK2DNRCYY4Z","prefix":"kc_live_94s1cyrL6Az8","hash":"b69d88c6e67c1581cfc583d3f60f2412eab23cfa2180d5a581aa0549718d291c"}],"set":{"name":null,"owner_id":null,"environment":"live","scopes":[],"allowed_ips":[],"metadata":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":null,"delivered_at":null,"expires_at":null,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":null,"replaced_by":null}}','6cd16c04880097f8b67df388802631987fabe5292ac931eb471a37648d8dab72','231fb37568a10b180f99dfdcec10062da6c52e985550a9f002d3f6bf134cfe12');
INSERT INTO "events" VALUES(12,1767268800000,'tester@host','somebody','key.delivered',NULL,'{"keys":[{"id":"key_01KDWPVNG04WDQYBK2DNRCYY4Z","prefix":"kc_live_94s1cyrL6Az8","hash":"b69d88c6e67c1581cfc583d3f60f2412eab23cfa2180d5a581aa0549718d291c"}],"set":{"delivered_at":1767268800000}}','231fb37568a10b180f99dfdcec10062da6c52e985550a9f002d3f6bf134cfe12','53f29160ec93a724b9239d284eddc32adceb42d23023bbe71b49dd0c230b5095');
INSERT INTO "events" VALUES(13,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG0CW9YT344J6PYVDB5","prefix":"kc_live_86MkyUqgx8gn","hash":"22e6dd8172087cf5e29e4d1d4045aa58c955a6feef9052bba0b5087096ce3b64"}],"set":{"name":null,"owner_id":null,"environment":"live","scopes":[],"allowed_ips":[],"metadata":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":null,"delivered_at":null,"expires_at":null,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":null,"replaced_by":null}}','53f29160ec93a724b9239d284eddc32adceb42d23023bbe71b49dd0c230b5095','66028678e8d6838a1db068fc950952a1adc35bcca62821d922c81f6a199953a5');
INSERT INTO "events" VALUES(14,1767268800000,'tester@host','somebody','key.delivered',NULL,'{"keys":[{"id":"key_01KDWPVNG0CW9YT344J6PYVDB5","prefix":"kc_live_86MkyUqgx8gn","hash":"22e6dd8172087cf5e29e4d1d4045aa58c955a6feef9052bba0b5087096ce3b64"}],"set":{"delivered_at":1767268800000}}','66028678e8d6838a1db068fc950952a1adc35bcca62821d922c81f6a199953a5','db259ff5ea4654258b7fd7b9e678e164ac86e6f1e1e092a205a698934efbf180');
INSERT INTO "events" VALUES(15,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG03KTZN68HQQ219YY7","prefix":"kc_live_BgsDP3TFxAi2","hash":"e41f8a33bd26fc681f910d717d24ff3d852285a584a6b0b7db5ba3a8d18eb0b1"}],"set":{"name":null,"owner_id":null,"environment":"live","scopes":[],"allowed_ips":[],"metadata":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":null,"delivered_at":null,"expires_at":null,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":null,"replaced_by":null}}','db259ff5ea4654258b7fd7b9e678e164ac86e6f1e1e092a205a698934efbf180','da7b0d39bddcdbd900ef7069922e1c1e05e259b16fdcf60ba236c8f059724225');
INSERT INTO "events" VALUES(16,1767268800000,'tester@host','somebody','key.delivered',NULL,'{"keys":[{"id":"key_01KDWPVNG03KTZN68HQQ219YY7","prefix":"kc_live_BgsDP3TFxAi2","hash":"e41f8a33bd26fc681f910d717d24ff3d852285a584a6b0b7db5ba3a8d18eb0b1"}],"set":{"delivered_at":1767268800000}}','da7b0d39bddcdbd900ef7069922e1c1e05e259b16fdcf60ba236c8f059724225','798b2522c49890e625c327d2987c83cca30f59070f5f32775098a042104fafd5');
INSERT INTO "events" VALUES(17,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG00WVGJVG2KFWVBAJP","prefix":"kc_live_oobPxGriKDti","hash":"0b40f8d5e49cae68c458bc1c207d60146c3e57becc54d8092d5a98d418986ed3"}],"set":{"name":null,"owner_id":"own_01KDWPVNG0348PW8PD7NGG6TZ7","environment":"live","scopes":[],"allowed_ips":[],"metadata":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":null,"delivered_at":null,"expires_at":null,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":null,"replaced_by":null}}','798b2522c49890e625c327d2987c83cca30f59070f5f32775098a042104fafd5','d6ca5cebf5d48b6104852819d74091e67a97ae96d7be31c13c59de5bd106366f');
INSERT INTO "events" VALUES(18,1767268800000,'tester@host','somebody','key.delivered',NULL,'{"keys":[{"id":"key_01KDWPVNG00WVGJVG2KFWVBAJP","prefix":"kc_live_oobPxGriKDti","hash":"0b40f8d5e49cae68c458bc1c207d60146c3e57becc54d8092d5a98d418986ed3"}],"set":{"delivered_at":1767268800000}}','d6ca5cebf5d48b6104852819d74091e67a97ae96d7be31c13c59de5bd106366f','14251291f4da69a63e8ad80b7835cdaafbd6736ebc209800e29a28ad2a90c7dd');
INSERT INTO "events" VALUES(19,1767268800000,'tester@host','somebody','key.revoked','leaked','{"keys":[{"id":"key_01KDWPVNG08JCCZSGV4QY2SE1T","prefix":"kc_live_wN0M10pPoyN1","hash":"9c4f3a5d97c4ab19147704a93a5b0fa21ad83c16f4d684eaba1b1403cc75098b","set":{"revoked_at":1767268800000,"revoked_reason":"leaked"},"was":{"revoked_at":null,"revoked_reason":null}}],"set":{}}','14251291f4da69a63e8ad80b7835cdaafbd6736ebc209800e29a28ad2a90c7dd','c4b1f775c1ab68d04a39f87409bea04505c713f4d06d557d11db6c724805733f');
INSERT INTO "events" VALUES(20,1767268800000,'tester@host','somebody','key.locked',NULL,'{"keys":[{"id":"key_01KDWPVNG04WDQYBK2DNRCYY4Z","prefix":"kc_live_94s1cyrL6Az8","hash":"b69d88c6e67c1581cfc583d3f60f2412eab23cfa2180d5a581aa0549718d291c","set":{"locked_at":1767268800000},"was":{"locked_at":null}}],"set":{}}','c4b1f775c1ab68d04a39f87409bea04505c713f4d06d557d11db6c724805733f','b4fb7c3d84d6911f78836e76a597d5c751a1475782e0ce68de6f051f9a582946');
INSERT INTO "events" VALUES(21,1767268800000,'tester@host','somebody','key.locked',NULL,'{"keys":[{"id":"key_01KDWPVNG0CW9YT344J6PYVDB5","prefix":"kc_live_86MkyUqgx8gn","hash":"22e6dd8172087cf5e29e4d1d4045aa58c955a6feef9052bba0b5087096ce3b64","set":{"locked_at":1767268800000,"locked_until":1767272400000},"was":{"locked_at":null,"locked_until":null}}],"set":{}}','b4fb7c3d84d6911f78836e76a597d5c751a1475782e0ce68de6f051f9a582946','d7744d73ed8310f2f0316ac9caa578d31b65498215a4024590b6586e9dbefc07');
INSERT INTO "events" VALUES(22,1767268800000,'tester@host','somebody','key.expiry_set',NULL,'{"keys":[{"id":"key_01KDWPVNG03KTZN68HQQ219YY7","prefix":"kc_live_BgsDP3TFxAi2","hash":"e41f8a33bd26fc681f910d717d24ff3d852285a584a6b0b7db5ba3a8d18eb0b1","set":{"expires_at":1767272400000},"was":{"expires_at":null}}],"set":{}}','d7744d73ed8310f2f0316ac9caa578d31b65498215a4024590b6586e9dbefc07','2dc63709e6aa5611e203fd07fc6bc2ea3cc742561330b4e62e86da1a5e58ed5d');
INSERT INTO "events" VALUES(23,1767268800000,'tester@host','somebody','owner.disabled',NULL,'{"owner":{"id":"own_01KDWPVNG0348PW8PD7NGG6TZ7","handle":"shut","set":{"disabled_at":1767268800000},"was":{"disabled_at":null}}}','2dc63709e6aa5611e203fd07fc6bc2ea3cc742561330b4e62e86da1a5e58ed5d','c6f73182058e53365235b84be8fc023e5973e0af944f5107757319f5fa2ffb52');
INSERT INTO "events" VALUES(24,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG02SFRDGW9M9288JWF","prefix":"kc_live_fmPCoiCbH4qA","hash":"6e907889e301b9143586bb5aafa4935c58b34ec9e73209d0d94885954058b781"}],"set":{"name":null,"owner_id":null,"environment":"live","scopes":[],"allowed_ips":[],"metadata":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":null,"delivered_at":null,"expires_at":1769860800000,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":null,"replaced_by":null}}','c6f73182058e53365235b84be8fc023e5973e0af944f5107757319f5fa2ffb52','f03d5e13e9cbbe57bd957971f6f57952209103bc97cd72925122f06cd0141510');
INSERT INTO "events" VALUES(25,1767268800000,'tester@host','somebody','key.delivered',NULL,'{"keys":[{"id":"key_01KDWPVNG02SFRDGW9M9288JWF","prefix":"kc_live_fmPCoiCbH4qA","hash":"6e907889e301b9143586bb5aafa4935c58b34ec9e73209d0d94885954058b781"}],"set":{"delivered_at":1767268800000}}','f03d5e13e9cbbe57bd957971f6f57952209103bc97cd72925122f06cd0141510','a051eafeccb1d5b11e59fb39cb20883335c3ce801e0b5b2568ed431b3a1bdc2d');
INSERT INTO "events" VALUES(26,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG0A7ZPWGW6SDWNPC7J","prefix":"kc_live_D3Dv8vaO219E","hash":"a1ec93d74df3574fc74c59903b8b1021c1fb7f4cb5dbd072481c50ffb3c1213d"}],"set":{"name":null,"owner_id":null,"environment":"live","scopes":[],"allowed_ips":[],"metadata":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":null,"delivered_at":null,"expires_at":null,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":null,"replaced_by":null}}','a051eafeccb1d5b11e59fb39cb20883335c3ce801e0b5b2568ed431b3a1bdc2d','ff3b618c896eb556b636cf666955281361cafd88dbe19e29c2beedd010aad986');
INSERT INTO "events" VALUES(27,1767268800000,'tester@host','somebody','key.delivered',NULL,'{"keys":[{"id":"key_01KDWPVNG0A7ZPWGW6SDWNPC7J","prefix":"kc_live_D3Dv8vaO219E","hash":"a1ec93d74df3574fc74c59903b8b1021c1fb7f4cb5dbd072481c50ffb3c1213d"}],"set":{"delivered_at":1767268800000}}','ff3b618c896eb556b636cf666955281361cafd88dbe19e29c2beedd010aad986','2701e4b843a851d15dc9fdfd313b6f3e114e11b4e6d646fc6b61fef698829457');
INSERT INTO "events" VALUES(28,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG0AJE0DPN9KRGA7NGA","prefix":"kc_live_CDIyawGAyhqy","hash":"ef955b90262dddb48556cc360dc2b81ccec52517eae35273a6ccc40ddf11c6fb"}],"set":{"name":null,"owner_id":null,"environment":"live","scopes":[],"allowed_ips":[],"metadata":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":"key_01KDWPVNG02SFRDGW9M9288JWF","delivered_at":null,"expires_at":1769860800000,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":"key_01KDWPVNG02SFRDGW9M9288JWF","replaced_by":null}}','2701e4b843a851d15dc9fdfd313b6f3e114e11b4e6d646fc6b61fef698829457','37d1edd485dca1f72dd11283632d830fbb9c9dbab13be104df8ca52b9f868fab');
INSERT INTO "events" VALUES(29,1767268800000,'tester@host','somebody','key.rotated',NULL,'{"keys":[{"id":"key_01KDWPVNG0AJE0DPN9KRGA7NGA","prefix":"kc_live_CDIyawGAyhqy","hash":"ef955b90262dddb48556cc360dc2b81ccec52517eae35273a6ccc40ddf11c6fb","set":{"delivered_at":1767268800000},"was":{"delivered_at":null}},{"id":"key_01KDWPVNG02SFRDGW9M9288JWF","prefix":"kc_live_fmPCoiCbH4qA","hash":"6e907889e301b9143586bb5aafa4935c58b34ec9e73209d0d94885954058b781","set":{"replaced_by":"key_01KDWPVNG0AJE0DPN9KRGA7NGA","expires_at":1767272400000},"was":{"replaced_by":null,"expires_at":1769860800000}}],"set":{}}','37d1edd485dca1f72dd11283632d830fbb9c9dbab13be104df8ca52b9f868fab','b5fef8ce0c9ef68a574bc19ff70ad03460684ccdc88f7af36ebfed25aff342ee');
INSERT INTO "events" VALUES(30,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG0CEMB5D3W2ZTKSK19","prefix":"kc_live_Sim35mTaANaD","hash":"bce0739e17495602a15775502d32f1804f11aaf6ab7c90f5e6601015d7cf4158"}],"set":{"name":null,"owner_id":null,"environment":"live","scopes":[],"allowed_ips":[],"metadata":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":"key_01KDWPVNG0A7ZPWGW6SDWNPC7J","delivered_at":null,"expires_at":null,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":"key_01KDWPVNG0A7ZPWGW6SDWNPC7J","replaced_by":null}}','b5fef8ce0c9ef68a574bc19ff70ad03460684ccdc88f7af36ebfed25aff342ee','72b2b3e654adcc4c4837fc822f6075fc0be59055a0b6f163a148a79535bf25b3');
INSERT INTO "events" VALUES(31,1767268800000,'tester@host','somebody','key.rotated',NULL,'{"keys":[{"id":"key_01KDWPVNG0CEMB5D3W2ZTKSK19","prefix":"kc_live_Sim35mTaANaD","hash":"bce0739e17495602a15775502d32f1804f11aaf6ab7c90f5e6601015d7cf4158","set":{"delivered_at":1767268800000},"was":{"delivered_at":null}},{"id":"key_01KDWPVNG0A7ZPWGW6SDWNPC7J","prefix":"kc_live_D3Dv8vaO219E","hash":"a1ec93d74df3574fc74c59903b8b1021c1fb7f4cb5dbd072481c50ffb3c1213d","set":{"replaced_by":"key_01KDWPVNG0CEMB5D3W2ZTKSK19","revoked_at":1767268800000,"revoked_reason":"rotated"},"was":{"replaced_by":null,"revoked_at":null,"revoked_reason":null}}],"set":{}}','72b2b3e654adcc4c4837fc822f6075fc0be59055a0b6f163a148a79535bf25b3','6161b976bf6a02fa5a718ceccc7e8affd3921650114b69909565806e3d0cdb4d');
INSERT INTO "events" VALUES(32,1767268800000,'tester@host','somebody','key.minted',NULL,'{"keys":[{"id":"key_01KDWPVNG0C83WV9KJ5DJRW54Q","prefix":"kc_live_NecBKZKhjnp0","hash":"c671edf3f7a8dbffbdd2c99e708d17a7d4fde0cff40a3620d4db517ba4ead97d"},{"id":"key_01KDWPVNG0C83WV9KJ5DJRW54R","prefix":"kc_live_GTLweKOkeKoc","hash":"9771f4fd1b708ae42b4f3b242bdea11ce5191783ac11b97f940dff566dcd10ed"},{"id":"key_01KDWPVNG0C83WV9KJ5DJRW54S","prefix":"kc_live_0tOm0wGWOHwV","hash":"745b1fd3e9256f97ae9d7275327c58e5b87368842772fb4291815b9f9a18a1b5"}],"set":{"name":null,"owner_id":null,"environment":"live","scopes":[],"allowed_ips":[],"metadata":{},"created_at":1767268800000,"created_by":"tester@host (somebody)","lineage":null,"delivered_at":null,"expires_at":null,"locked_at":null,"locked_until":null,"revoked_at":null,"revoked_reason":null,"replaces":null,"replaced_by":null}}','6161b976bf6a02fa5a718ceccc7e8affd3921650114b69909565806e3d0cdb4d','1b64acb835adf57c6dc8a748019e23e16b0598bc8981537803da165e32836b95');
INSERT INTO "events" VALUES(33,1767268800000,'tester@host','somebody','key.delivered',NULL,'{"keys":[{"id":"key_01KDWPVNG0C83WV9KJ5DJRW54Q","prefix":"kc_live_NecBKZKhjnp0","hash":"c671edf3f7a8dbffbdd2c99e708d17a7d4fde0cff40a3620d4db517ba4ead97d"},{"id":"key_01KDWPVNG0C83WV9KJ5DJRW54R","prefix":"kc_live_GTLweKOkeKoc","hash":"9771f4fd1b708ae42b4f3b242bdea11ce5191783ac11b97f940dff566dcd10ed"},{"id":"key_01KDWPVNG0C83WV9KJ5DJRW54S","prefix":"kc_live_0tOm0wGWOHwV","hash":"745b1fd3e9256f97ae9d7275327c58e5b87368842772fb4291815b9f9a18a1b5"}],"set":{"delivered_at":1767268800000}}','1b64acb835adf57c6dc8a748019e23e16b0598bc8981537803da165e32836b95','ef8d78216b1ad8e4402f83d5f2ff528a85c9b0e2a0140ae1061770999a5e5f89');
CREATE TABLE keys (
	id TEXT NOT NULL, 
	prefix TEXT NOT NULL, 
	phc TEXT NOT NULL, 
	name TEXT, 
	owner_id TEXT, 
	environment TEXT NOT NULL, 
	scopes TEXT NOT NULL, 
	allowed_ips TEXT NOT NULL, 
	metadata TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	created_by TEXT NOT NULL, 
	delivered_at BIGINT, 
	expires_at BIGINT, 
	locked_at BIGINT, 
	locked_until BIGINT, 
	revoked_at BIGINT, 
	revoked_reason TEXT, 
	replaces TEXT, 
	replaced_by TEXT, 
	last_used_at BIGINT, lineage TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT fk_keys_owner_id FOREIGN KEY(owner_id) REFERENCES owners (id)
);
INSERT INTO "keys" VALUES('key_01KDWPVNG040N3JJQ3GTY7PYQ5','kc_live_jgAXawE3E3U8','$argon2id$v=19$m=8,t=1,p=1$HoFfXRhWqXPxlTvmxIIuCw$Q/F1HX+SLbjK7l57eeRR2QfcgcNPiqiPQxlARyzK23s',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'key_01KDWPVNG040N3JJQ3GTY7PYQ5');
INSERT INTO "keys" VALUES('key_01KDWPVNG09DSNZQF8YR80394B','kc_test_mK87boIXq2eP','$argon2id$v=19$m=8,t=1,p=1$+zy/PixAUej1cWeo3WSLTg$rqz9rtFyqm/gHiLVTbXwZmxgqB/eMBeE7OhREqH4qGo','it''s; -- [bold]','own_01KDWPVNG0BT1Q3PW0S8BED01X','test','["write","read"]','["192.0.2.0/24"]','{"team":"billing"}',1767268800000,'tester@host (somebody)',1767268800000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'key_01KDWPVNG09DSNZQF8YR80394B');
INSERT INTO "keys" VALUES('key_01KDWPVNG08JCCZSGV4QY2SE1T','kc_live_wN0M10pPoyN1','$argon2id$v=19$m=8,t=1,p=1$pKvJIDEFxrqWSfLQcAAIrw$IJobtZ7509o+0ZMC15eTpwXESCjmf3Wo1XBjcfse2FE',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,NULL,NULL,NULL,1767268800000,'leaked',NULL,NULL,NULL,'key_01KDWPVNG08JCCZSGV4QY2SE1T');
INSERT INTO "keys" VALUES('key_01KDWPVNG04WDQYBK2DNRCYY4Z','kc_live_94s1cyrL6Az8','$argon2id$v=19$m=8,t=1,p=1$fcrB7OZxetFhopf9ME8tyQ$dfZpLLJTVONLrstboY5yH+pT9ZjtNf67rkibYtbwJBY',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,NULL,1767268800000,NULL,NULL,NULL,NULL,NULL,NULL,'key_01KDWPVNG04WDQYBK2DNRCYY4Z');
INSERT INTO "keys" VALUES('key_01KDWPVNG0CW9YT344J6PYVDB5','kc_live_86MkyUqgx8gn','$argon2id$v=19$m=8,t=1,p=1$uN4kPmqQZKmtlU4sAfF4dg$zA7+rddM54RxzTC2MIOc11MzNSbujlgQlCQycIAs0Sk',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,NULL,1767268800000,1767272400000,NULL,NULL,NULL,NULL,NULL,'key_01KDWPVNG0CW9YT344J6PYVDB5');
INSERT INTO "keys" VALUES('key_01KDWPVNG03KTZN68HQQ219YY7','kc_live_BgsDP3TFxAi2','$argon2id$v=19$m=8,t=1,p=1$ByHtlthy4xka+bJTee06OA$UvlGhro/rjI0Zs7wXvj3Ab2BhLqy/EexdFPT64Dg/fA',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,1767272400000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'key_01KDWPVNG03KTZN68HQQ219YY7');
INSERT INTO "keys" VALUES('key_01KDWPVNG00WVGJVG2KFWVBAJP','kc_live_oobPxGriKDti','$argon2id$v=19$m=8,t=1,p=1$9ij9u9YoZKJrOP+c6hDcTg$PAUryrHoYy/2RizyvNi0dqmPdU1obmDR1dUuh3sdhTY',NULL,'own_01KDWPVNG0348PW8PD7NGG6TZ7','live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'key_01KDWPVNG00WVGJVG2KFWVBAJP');
INSERT INTO "keys" VALUES('key_01KDWPVNG02SFRDGW9M9288JWF','kc_live_fmPCoiCbH4qA','$argon2id$v=19$m=8,t=1,p=1$MDmzNd0ot9nUxZGrC0kXPg$ltIPasb12HwqhBA4eEfxAVyIW6Chf7ufHUNR/VObFNI',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,1767272400000,NULL,NULL,NULL,NULL,NULL,'key_01KDWPVNG0AJE0DPN9KRGA7NGA',NULL,'key_01KDWPVNG02SFRDGW9M9288JWF');
INSERT INTO "keys" VALUES('key_01KDWPVNG0A7ZPWGW6SDWNPC7J','kc_live_D3Dv8vaO219E','$argon2id$v=19$m=8,t=1,p=1$zVmIwLVxhQy4e7z9f+aHPw$Jqvl9o3+D55jPFlnsFmjeIQAwRuab7Xx9nsjgk+UuM4',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,NULL,NULL,NULL,1767268800000,'rotated',NULL,'key_01KDWPVNG0CEMB5D3W2ZTKSK19',NULL,'key_01KDWPVNG0A7ZPWGW6SDWNPC7J');
INSERT INTO "keys" VALUES('key_01KDWPVNG0AJE0DPN9KRGA7NGA','kc_live_CDIyawGAyhqy','$argon2id$v=19$m=8,t=1,p=1$TeYcRSAyaVUZw748yZEZQQ$m9+tAO48HCyocme7zktxoKe3D90TwIyxHk51juogoyU',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,1769860800000,NULL,NULL,NULL,NULL,'key_01KDWPVNG02SFRDGW9M9288JWF',NULL,NULL,'key_01KDWPVNG02SFRDGW9M9288JWF');
INSERT INTO "keys" VALUES('key_01KDWPVNG0CEMB5D3W2ZTKSK19','kc_live_Sim35mTaANaD','$argon2id$v=19$m=8,t=1,p=1$ASDTRVk22187zcVcr2HgXQ$F1NdTHP3Xb+z6yrZrmwz/lnFHx35mLp14mQMrxuW8KM',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,NULL,NULL,NULL,NULL,NULL,'key_01KDWPVNG0A7ZPWGW6SDWNPC7J',NULL,NULL,'key_01KDWPVNG0A7ZPWGW6SDWNPC7J');
INSERT INTO "keys" VALUES('key_01KDWPVNG0C83WV9KJ5DJRW54Q','kc_live_NecBKZKhjnp0','$argon2id$v=19$m=8,t=1,p=1$H07x7FWKxhksGNQSyIAnAw$PduAvp5z48hAS87SAW0OqYzzAzBD5iaWRTvqfGepgDM',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'key_01KDWPVNG0C83WV9KJ5DJRW54Q');
INSERT INTO "keys" VALUES('key_01KDWPVNG0C83WV9KJ5DJRW54R','kc_live_GTLweKOkeKoc','$argon2id$v=19$m=8,t=1,p=1$iNnp7NbiASXjAeuTcChtgg$cpiYLQUP+GH5BTUGFAFiIWex+R8pIwmtL+s7E06PcEI',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'key_01KDWPVNG0C83WV9KJ5DJRW54R');
INSERT INTO "keys" VALUES('key_01KDWPVNG0C83WV9KJ5DJRW54S','kc_live_0tOm0wGWOHwV','$argon2id$v=19$m=8,t=1,p=1$Q05Y3F662dZrpNdw1oDOOg$0qCFKnAa3qUizsSssYakPuSfEPLjhoCMUh2VIowjEm8',NULL,NULL,'live','[]','[]','{}',1767268800000,'tester@host (somebody)',1767268800000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'key_01KDWPVNG0C83WV9KJ5DJRW54S');
CREATE TABLE owners (
	id TEXT NOT NULL, 
	handle TEXT NOT NULL, 
	name TEXT, 
	kind TEXT NOT NULL, 
	parent_id TEXT, 
	"plan" TEXT, 
	attributes TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	created_by TEXT NOT NULL, 
	disabled_at BIGINT, 
	PRIMARY KEY (id), 
	CONSTRAINT fk_owners_parent_id FOREIGN KEY(parent_id) REFERENCES owners (id)
);
INSERT INTO "owners" VALUES('own_01KDWPVNG0CN76CD7ZDH5JC7FE','acme','Acme “Ltd” 🙂','account',NULL,NULL,'{}',1767268800000,'tester@host (somebody)',NULL);
INSERT INTO "owners" VALUES('own_01KDWPVNG0BT1Q3PW0S8BED01X','acme-eu',NULL,'account','own_01KDWPVNG0CN76CD7ZDH5JC7FE',NULL,'{}',1767268800000,'tester@host (somebody)',NULL);
INSERT INTO "owners" VALUES('own_01KDWPVNG0348PW8PD7NGG6TZ7','shut',NULL,'account',NULL,NULL,'{}',1767268800000,'tester@host (somebody)',1767268800000);
CREATE TABLE settings (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "settings" VALUES('store_id','store_01KDWPVNG0FYTHM7GF6SK7X2XG');
INSERT INTO "settings" VALUES('created_at','2026-01-01T12:00:00Z');
INSERT INTO "settings" VALUES('profile','{"name":"standard","description":"Keys for an API of your own, in the shape of GitHub''s tokens","key":{"template":"{brand}_{env}_{prefix}_{secret}{checksum}","brand":"kc","environments":{"live":"live","test":"test"},"fields":{"prefix":{"alphabet":"base62","length":12},"secret":{"alphabet":"base62","length":32},"checksum":{"algorithm":"crc32","alphabet":"base62","length":6}}},"defaults":{"environment":"live","scopes":[]},"scopes":{"assign":"request","list":{"read":{"description":"read everything the owner may read"},"write":{"description":"change everything the owner may change"},"admin":{"description":"everything, administration included","implies":["*"]}}},"owners":{"default_kind":"account","required":false,"isolation":"subtree","kinds":{"account":{"description":"a customer, a team or a service","parent":"account"}}},"lifetime":{"default":"never","maximum":"never","rotate_every":"90d","grace":"24h"},"verification":{"refresh_seconds":1}}');
INSERT INTO "settings" VALUES('hash','{"scheme": "argon2id", "memory_kib": 8, "passes": 1, "lanes": 1}');
CREATE TABLE usage_days (
	quarter BIGINT NOT NULL, 
	key_id TEXT NOT NULL, 
	counts TEXT NOT NULL, 
	PRIMARY KEY (quarter, key_id)
)
 WITHOUT ROWID

;
CREATE TABLE usage_hours (
	week BIGINT NOT NULL, 
	key_id TEXT NOT NULL, 
	counts TEXT NOT NULL, 
	PRIMARY KEY (week, key_id)
)
 WITHOUT ROWID

;
CREATE TABLE usage_recorders (
	instance TEXT NOT NULL, 
	name TEXT NOT NULL, 
	host TEXT NOT NULL, 
	pid BIGINT NOT NULL, 
	since BIGINT NOT NULL, 
	began_at BIGINT NOT NULL, 
	reported_at BIGINT NOT NULL, 
	every BIGINT NOT NULL, 
	counted TEXT NOT NULL, 
	dropped_at BIGINT, 
	ended_at BIGINT, 
	from_file BIGINT NOT NULL, 
	PRIMARY KEY (instance)
);
CREATE UNIQUE INDEX ix_owners_handle ON owners (handle);
CREATE INDEX ix_owners_parent_id ON owners (parent_id);
CREATE UNIQUE INDEX ix_keys_prefix ON keys (prefix);
CREATE INDEX ix_keys_created_at_id ON keys (created_at, id);
CREATE INDEX ix_keys_owner_id ON keys (owner_id);
CREATE INDEX ix_keys_replaces ON keys (replaces);
COMMIT;
