;; attacks: state.call, with a secret left by a call that trapped in the middle
;; with: nothing
;; gets: plugin_failed
;; after: answers 0
;; control: raw, twice: answers 1
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.extend_i32_u (i32.eq (i32.load8_u (i32.const 20000)) (i32.const 0x77)))))))
    (memory.fill (i32.const 2048) (i32.const 0x77) (i32.const 32768))
    (unreachable)))
